// A list of contacts, with the unmodified SDK: prints the answers as one JSON object. The address of the API is in
// RESEND_BASE_URL, the key in RESEND_API_KEY, the list in LIST.
import { Resend } from "resend";

const resend = new Resend();
const file = new Blob([process.env.LIST], { type: "text/csv" });
const columnMap = { email: "Email", firstName: "Vorname" };
const made = await resend.contacts.imports.create({ file, columnMap, onConflict: "upsert" });
const got = await resend.contacts.imports.get(made.data?.id ?? "none");
const listed = await resend.contacts.imports.list({ limit: 1 });
console.log(JSON.stringify({ made, got, listed }));
