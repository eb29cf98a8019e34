// Topics, contacts, automations, suppressions, domains with tracking and all methods of webhooks: prints the answers as one JSON object. The
// address of the API is in RESEND_BASE_URL, the key in RESEND_API_KEY; RECEIVED holds a webhook that was received (`id`,
// `event`, `body`, `headers`, `secret`).
import { Resend } from "resend";

const resend = new Resend();
const answers = {};

async function call(name, promise) {
  const { data, error } = await promise;
  if (error) throw new Error(`${name}: ${JSON.stringify(error)}`);
  answers[name] = data;
  return data;
}

async function refused(name, promise) {
  const { data, error } = await promise;
  if (!error) throw new Error(`${name} was not refused: ${JSON.stringify(data)}`);
  answers[name] = error;
}

async function topics() {
  const made = await call("topics.create", resend.topics.create({ name: "News", defaultSubscription: "opt_in" }));
  await call("topics.update", resend.topics.update({ id: made.id, name: "Weekly", description: "On Mondays." }));
  await call("topics.get", resend.topics.get(made.id));
  await call("topics.list", resend.topics.list());
  const email = "ann@one.example";
  const topics = [{ id: made.id, subscription: "opt_out" }];
  await call("contacts.topics.update", resend.contacts.topics.update({ email, topics }));
  await call("contacts.topics.list", resend.contacts.topics.list({ email }));
  const mail = { from: "hello@acme.example", to: "bob@two.example", subject: "Hi", text: "x", topicId: made.id };
  await call("emails.send", resend.emails.send(mail));
  await call("topics.remove", resend.topics.remove(made.id));
}

async function contacts() {
  const property = await call("contactProperties.create",
    resend.contactProperties.create({ key: "plan", type: "string", fallbackValue: "free" }));
  await call("contactProperties.update", resend.contactProperties.update({ id: property.id, fallbackValue: "none" }));
  await call("contactProperties.get", resend.contactProperties.get(property.id));
  await call("contactProperties.list", resend.contactProperties.list());
  const list = await call("segments.create for contacts", resend.segments.create({ name: "Members" }));
  const email = "Carl+node@two.example";
  const made = await call("contacts.create", resend.contacts.create({
    email, firstName: "Carl", unsubscribed: false, properties: { plan: "pro" }, segments: [{ id: list.id }],
  }));
  await call("contacts.update", resend.contacts.update({ email, lastName: "Berg", unsubscribed: true }));
  await call("contacts.get", resend.contacts.get({ email }));
  await call("contacts.get by id", resend.contacts.get({ id: made.id }));
  await call("contacts.list", resend.contacts.list());
  await call("contacts.list of segment", resend.contacts.list({ segmentId: list.id }));
  await call("contacts.segments.list", resend.contacts.segments.list({ email }));
  await call("contacts.segments.remove", resend.contacts.segments.remove({ email, segmentId: list.id }));
  await call("contacts.segments.add", resend.contacts.segments.add({ contactId: made.id, segmentId: list.id }));
  const other = { audienceId: list.id, email: "dora@two.example" };
  await call("contacts.create of audience", resend.contacts.create({ ...other, firstName: "Dora" }));
  await call("contacts.get of audience", resend.contacts.get(other));
  await call("contacts.remove of audience", resend.contacts.remove(other));
  await call("contacts.remove", resend.contacts.remove({ email }));
  await refused("contacts.get gone", resend.contacts.get({ id: made.id }));
  await call("contactProperties.remove", resend.contactProperties.remove(property.id));
}

async function segments() {
  const made = await call("segments.create", resend.segments.create({ name: "Readers" }));
  await call("segments.get", resend.segments.get(made.id));
  await call("segments.list", resend.segments.list());
  await call("segments.remove", resend.segments.remove(made.id));
}

async function suppressions() {
  const list = resend.suppressions;
  const made = await call("suppressions.add", list.add({ email: "Sdk+tag@Example.com" }));
  await call("suppressions.get", list.get("sdk+tag@example.com"));
  await call("suppressions.get by id", list.get(made.id));
  await call("suppressions.batch.add", list.batch.add({ emails: ["a@example.com", "b@example.com", "c@example.com"] }));
  const page = await call("suppressions.list", list.list({ origin: "manual", limit: 2 }));
  await call("suppressions.list after", list.list({ after: page.data.at(-1).id }));
  await call("suppressions.batch.remove", list.batch.remove({ emails: ["a@example.com", "zz@example.com"] }));
  await call("suppressions.batch.remove by id", list.batch.remove({ ids: [made.id] }));
  await call("suppressions.remove", list.remove("b@example.com"));
  await refused("suppressions.get gone", list.get("b@example.com"));
}

async function domains() {
  const tracking = { openTracking: true, clickTracking: false, trackingSubdomain: "links" };
  const made = await call("domains.create", resend.domains.create({ name: "sdk.example", ...tracking }));
  await call("domains.update", resend.domains.update({ id: made.id, openTracking: false, clickTracking: true }));
  await call("domains.get", resend.domains.get(made.id));
  await call("domains.list", resend.domains.list({ limit: 1 }));
  await call("domains.verify", resend.domains.verify(made.id));
  await call("domains.remove", resend.domains.remove(made.id));
  await refused("domains.get gone", resend.domains.get(made.id));
}

async function webhooks({ id, event, body, headers, secret }) {
  const hooks = resend.webhooks;
  const wanted = { endpoint: "https://shop.example/", events: ["email.sent", "inbox.created", "contact.created"] };
  const made = await call("webhooks.create", hooks.create(wanted));
  await call("webhooks.update", hooks.update(made.id, { events: ["email.sent", "email.delivered"], status: "enabled" }));
  await call("webhooks.get", hooks.get(made.id));
  await call("webhooks.list", hooks.list({ limit: 5 }));
  await call("webhooks.rotate", hooks.rotateSigningSecret(made.id));
  await call("webhooks.remove", hooks.remove(made.id));
  await call("events.list", hooks.events.list({ webhookId: id, limit: 100 }));
  await call("events.get", hooks.events.get({ webhookId: id, eventId: event }));
  await call("attempts.list", hooks.events.attempts.list({ webhookId: id, eventId: event }));
  await call("events.replay", hooks.events.replay({ webhookId: id, eventId: event }));
  answers["webhooks.verify"] = hooks.verify({
    payload: body,
    headers: { id: headers["svix-id"], timestamp: headers["svix-timestamp"], signature: headers["svix-signature"] },
    webhookSecret: secret,
  });
}

async function templates() {
  const list = resend.templates;
  const variables = [{ key: "NAME", type: "string" }, { key: "COUNT", type: "number", fallbackValue: 3 }];
  const wanted = { name: "Welcome", alias: "node", from: "hello@acme.example", subject: "Hi {{{NAME}}}", variables };
  const made = await call("templates.create", list.create({ ...wanted, html: "<p>{{{NAME}}} {{{COUNT}}}</p>" }).publish());
  await call("templates.update", list.update("node", { name: "Other" }));
  await call("templates.get", list.get("node"));
  await call("templates.list", list.list({ limit: 1 }));
  const template = { id: "node", variables: { NAME: "Ann" } };
  const sent = await call("templates.send", resend.emails.send({ to: "ann@one.example", template }));
  await call("templates.sent", resend.emails.get(sent.id));
  await refused("templates.send without", resend.emails.send({ to: "ann@one.example", template: { id: "node" } }));
  await call("templates.duplicate", list.duplicate(made.id));
  await call("templates.remove", list.remove(made.id));
}

async function broadcasts() {
  const list = resend.broadcasts;
  const { id: segmentId } = await call("broadcasts.segment", resend.segments.create({ name: "Everybody" }));
  const wanted = { segmentId, from: "Acme <news@acme.example>", subject: "Hi {{{contact.first_name|you}}}", text: "Hello" };
  const made = await call("broadcasts.create", list.create({ ...wanted, name: "Spring" }));
  await call("broadcasts.update", list.update(made.id, { previewText: "Soon" }));
  await call("broadcasts.get", list.get(made.id));
  const copy = await call("broadcasts.duplicate", list.duplicate(made.id));
  await call("broadcasts.send", list.send(copy.id, { scheduledAt: "in 2 days" }));
  await call("broadcasts.list", list.list({ limit: 5 }));
  await call("broadcasts.cancel", list.cancel(copy.id));
  await call("broadcasts.recipients", list.recipients(made.id, { type: "clicked", limit: 5 }));
  await call("broadcasts.clickedLinks", list.clickedLinks(made.id, { limit: 5 }));
  await call("broadcasts.remove", list.remove(made.id));
  await refused("broadcasts.get gone", list.get(made.id));
}

async function automations() {
  const { automations: list, events } = resend;
  const variables = [{ key: "PLAN", type: "string", fallbackValue: "none" }];
  const template = { name: "Hello", alias: "automated", from: "hello@acme.example", subject: "Hi", variables };
  await call("automations.template", resend.templates.create({ ...template, html: "<p>{{{PLAN}}}</p>" }).publish());
  const event = await call("customEvents.create", events.create({ name: "user.created", schema: { seats: "number" } }));
  await call("customEvents.update", events.update("user.created", { schema: { plan: "string" } }));
  await call("customEvents.get", events.get("user.created"));
  await call("customEvents.definitions", events.list({ limit: 5 }));
  const made = await call("automations.create", list.create({
    name: "Welcome",
    status: "enabled",
    steps: [
      { key: "start", type: "trigger", config: { eventName: "user.created" } },
      { key: "wait", type: "delay", config: { duration: "30 minutes" } },
      { key: "mail", type: "send_email",
        config: { template: { id: "automated", variables: { PLAN: { var: "event.plan" } } }, subject: "Welcome" } },
    ],
    connections: [{ from: "start", to: "wait" }, { from: "wait", to: "mail", type: "default" }],
  }));
  const told = { event: "user.created", email: "new+auto@two.example", payload: { plan: "pro" } };
  await call("customEvents.send", events.send(told));
  await refused("customEvents.send wrong", events.send({ ...told, payload: { plan: [] } }));
  await call("automations.update", list.update(made.id, { name: "Welcome series" }));
  await call("automations.get", list.get(made.id));
  await call("automations.list", list.list({ status: "enabled", limit: 5 }));
  const runs = await call("automations.runs.list", list.runs.list({ automationId: made.id, status: ["running"] }));
  await call("automations.runs.get", list.runs.get({ automationId: made.id, runId: runs.data[0].id }));
  await call("automations.duplicate", list.duplicate(made.id));
  await call("automations.stop", list.stop(made.id));
  await call("automations.remove", list.remove(made.id));
  await refused("automations.get gone", list.get(made.id));
  await call("customEvents.remove", events.remove(event.id));
}

await topics();
await automations();
await broadcasts();
await templates();
await segments();
await suppressions();
await domains();
await webhooks(JSON.parse(process.env.RECEIVED));
await contacts();
console.log(JSON.stringify(answers));
