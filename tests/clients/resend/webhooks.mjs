// All methods of webhooks: `node webhooks.mjs URL` prints the answers as one JSON object. The address of the API is in
// RESEND_BASE_URL, the key in RESEND_API_KEY, the body and headers of a request that was received in RECEIVED.
import { Resend } from "resend";

const resend = new Resend();
const answers = {};

async function call(name, promise) {
  const { data, error } = await promise;
  if (error) throw new Error(`${name}: ${JSON.stringify(error)}`);
  answers[name] = data;
  return data;
}

const hooks = resend.webhooks;
if (process.env.RECEIVED) {
  const { id, event, body, headers, secret } = JSON.parse(process.env.RECEIVED);
  await call("events", hooks.events.list({ webhookId: id, limit: 10 }));
  await call("event", hooks.events.get({ webhookId: id, eventId: event }));
  await call("attempts", hooks.events.attempts.list({ webhookId: id, eventId: event }));
  await call("replay", hooks.events.replay({ webhookId: id, eventId: event }));
  answers.verified = hooks.verify({
    payload: body,
    headers: { id: headers["svix-id"], timestamp: headers["svix-timestamp"], signature: headers["svix-signature"] },
    webhookSecret: secret,
  });
} else {
  const made = await call("create", hooks.create({ endpoint: process.argv[2], events: ["email.sent", "inbox.created"] }));
  await call("update", hooks.update(made.id, { events: ["email.sent", "email.delivered"], status: "enabled" }));
  await call("get", hooks.get(made.id));
  await call("list", hooks.list({ limit: 5 }));
  await call("rotate", hooks.rotateSigningSecret(made.id));
  await call("remove", hooks.remove(made.id));
}
console.log(JSON.stringify(answers));
