// A mail as applications send it with Nodemailer, over STARTTLS and over TLS from the first byte. Prints the replies.
import { readFileSync } from "node:fs";
import nodemailer from "nodemailer";

const ca = readFileSync(process.env.CERTIFICATE);
const auth = { user: "resend", pass: process.env.KEY };
const ways = [
  { port: Number(process.env.SUBMISSION_PORT), secure: false, requireTLS: true },
  { port: Number(process.env.SUBMISSIONS_PORT), secure: true },
];
const replies = [];
for (const way of ways) {
  const transport = nodemailer.createTransport({ host: "127.0.0.1", auth, tls: { ca }, ...way });
  await transport.verify();
  const sent = await transport.sendMail({
    from: "Jürgen vom Shop <orders@shop.example>",
    to: ["Änne <ann@x.example>", "bob@x.example"],
    cc: "cee@y.example",
    bcc: "dan@z.example",
    subject: "Grüße ✓",
    text: "Hello",
    html: "<p>Hello</p>",
    attachments: [{ filename: "größe.txt", content: "a file" }],
    headers: { "X-Postlane-Stream": "marketing", "X-Postlane-Tag": ["campaign=summer", "wave=2"] },
  });
  replies.push({ reply: sent.response, rejected: sent.rejected });
  transport.close();
}
console.log(JSON.stringify(replies));
