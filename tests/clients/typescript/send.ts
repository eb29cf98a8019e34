// Compiled, never run: what an application writes against types made from our OpenAPI document.
import type { components, paths } from "./postlane";

type Send = paths["/emails"]["post"];
type Body = Send["requestBody"]["content"]["application/json"];
type Sent = Send["responses"][200]["content"]["application/json"];
type Refusal = Send["responses"][422]["content"]["application/json"];

const smallest: Body = { from: "Acme <hello@acme.example>", to: "bob@example.com", subject: "Hi", text: "Hello." };
const larger: Body = {
  from: "hello@acme.example",
  to: ["bob@example.com"],
  cc: null,
  subject: "Hi",
  html: "<p>Hello.</p>",
  attachments: [{ filename: "a.txt", content: "Zg==" }, { filename: "b", content: { type: "Buffer", data: [1, 2] } }],
  stream: "marketing",
  scheduled_at: "in 1 hour",
};
const batch: paths["/emails/batch"]["post"]["requestBody"]["content"]["application/json"] = [smallest, larger];
const domain: paths["/domains"]["post"]["requestBody"]["content"]["application/json"] = { name: "acme.example" };
const key: paths["/api-keys"]["post"]["requestBody"]["content"]["application/json"] = { name: "shop" };
const entry: paths["/suppressions"]["post"]["requestBody"]["content"]["application/json"] = { email: "a@b.example" };
const page: paths["/emails"]["get"]["parameters"]["query"] = { limit: 5 };

function read(sent: Sent, refusal: Refusal, email: components["schemas"]["EmailAnswer"]): string {
  const id: string = sent.id;
  const kind: "email" = email.object;
  const html: string | null = email.html;
  return [id, refusal.name, refusal.message, kind, html ?? "", email.recipients[0].state, email.created_at].join();
}

const templated: Body = { to: "bob@example.com", template: { id: "welcome", variables: { NAME: "Bob" } } };

// @ts-expect-error: a mail to nobody is none
const wrong: Body = { from: "hello@acme.example", subject: "Hi", text: "Hello." };

export { batch, domain, entry, key, page, read, templated, wrong };
