// Signs one delivery per provider, from the formula in the provider's documentation, with Node's own crypto: none of
// our code is used. `node vectors.mjs > vectors.json`; an argument gives the time of signing in seconds.
import { createHash, createHmac, generateKeyPairSync, sign as cryptoSign } from "node:crypto";

const T = Number(process.argv[2] ?? 1767323045); // 2026-01-02T03:04:05Z
const MS = `${T * 1000}`;
const ISO = new Date(T * 1000).toISOString();
const U = "https://hooks.example.com/w/01J?team=7";
const B = '{"id":"evt_1","name":"J\\u00fcrgen","amount":1.0,"note":"ü ✓"}';
const S = "It's a secret to everybody";
const RAW = Buffer.from("0123456789abcdef0123456789abcdef");
const B64 = RAW.toString("base64");

const mac = (algorithm, key, ...parts) => {
  const sum = createHmac(algorithm, key);
  for (const part of parts) sum.update(part, "utf8");
  return sum;
};
const hex = (...parts) => mac("sha256", S, ...parts).digest("hex");
const b64 = (...parts) => mac("sha256", S, ...parts).digest("base64");

const sign = (key, algorithm, ...parts) => {
  const message = Buffer.concat(parts.map((part) => Buffer.from(part)));
  return cryptoSign(algorithm, message, key);
};
const ED = generateKeyPairSync("ed25519");
const EC = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
const RSA = generateKeyPairSync("rsa", { modulusLength: 2048 });
const raw = ED.publicKey.export({ format: "der", type: "spki" }).subarray(-32);
const spki = (pair) => pair.publicKey.export({ format: "der", type: "spki" }).toString("base64");
const b64url = (value) => Buffer.from(value).toString("base64url");
const jwt = (claims, key = S) => {
  const signed = `${b64url('{"alg":"HS256","typ":"JWT"}')}.${b64url(JSON.stringify(claims))}`;
  return `${signed}.${mac("sha256", key, signed).digest("base64url")}`;
};
const sha256 = (text) => createHash("sha256").update(text).digest("hex");

// Forms: the names and values in the order of the names, without anything between them.
const FORM = "To=%2B15550001&From=%2B15550002&Body=caf%C3%A9+%26+co&MessageSid=SM1";
const SORTED = "Bodycafé & coFrom+15550002MessageSidSM1To+15550001";
const FORM_TYPE = { "Content-Type": "application/x-www-form-urlencoded" };
const JSON_TYPE = { "Content-Type": "application/json" };
const MAILGUN = JSON.stringify({
  signature: { timestamp: `${T}`, token: "0f5a1bc2", signature: hex(`${T}`, "0f5a1bc2") },
  "event-data": { event: "delivered", id: "evt_1" },
});
const LINEAR = JSON.stringify({ action: "create", type: "Issue", webhookTimestamp: T * 1000 });
const ADYEN_ITEM = {
  amount: { currency: "EUR", value: 1130 }, eventCode: "AUTHORISATION", merchantAccountCode: "TestMerchant",
  merchantReference: "TestPayment-1407325143704", pspReference: "7914073381342284", success: "true",
};
const ADYEN_TEXT = "7914073381342284::TestMerchant:TestPayment-1407325143704:1130:EUR:AUTHORISATION:true";
const ADYEN = JSON.stringify({
  live: "false",
  notificationItems: [{
    NotificationRequestItem: {
      ...ADYEN_ITEM,
      additionalData: { hmacSignature: mac("sha256", RAW, ADYEN_TEXT).digest("base64") },
    },
  }],
});
const JSON_U = `${U}&bodySHA256=${sha256(B)}`;
const standard = (names = "webhook") => ({
  [`${names}-id`]: "msg_1",
  [`${names}-timestamp`]: `${T}`,
  [`${names}-signature`]: `v1a,AAAA v1,${mac("sha256", RAW, `msg_1.${T}.`, B).digest("base64")}`,
});
const discord = { "X-Signature-Timestamp": `${T}`, "X-Signature-Ed25519": sign(ED.privateKey, null, `${T}`, B).toString("hex") };

// Each entry: headers, and where they differ from the usual the secret, the URL and the body.
const vectors = {
  adyen: [JSON_TYPE, RAW.toString("hex"), U, ADYEN],
  airtable: [{ "X-Airtable-Content-MAC": `hmac-sha256=${mac("sha256", RAW, B).digest("hex")}` }, B64],
  asana: [{ "X-Hook-Signature": hex(B) }],
  bitbucket: [{ "X-Hub-Signature": `sha256=${hex(B)}` }],
  box: [
    {
      "box-signature-version": "1",
      "box-signature-algorithm": "HmacSHA256",
      "box-delivery-timestamp": ISO,
      "box-signature-primary": mac("sha256", "the other key", B, ISO).digest("base64"),
      "box-signature-secondary": b64(B, ISO),
    },
  ],
  calcom: [{ "X-Cal-Signature-256": hex(B) }],
  calendly: [{ "Calendly-Webhook-Signature": `t=${T},v1=${hex(`${T}.`, B)}` }],
  chargebee: [{ Authorization: `Basic ${Buffer.from("hook:pass:word").toString("base64")}` }, "hook:pass:word"],
  clerk: [standard("svix"), `whsec_${B64}`],
  clickup: [{ "X-Signature": hex(B) }],
  coinbase_commerce: [{ "X-CC-Webhook-Signature": hex(B) }],
  discord: [discord, raw.toString("hex")],
  discord_events: [discord, raw.toString("hex")],
  docusign: [{ "X-DocuSign-Signature-1": mac("sha256", "the other key", B).digest("base64"), "X-DocuSign-Signature-2": b64(B) }],
  dropbox: [{ "X-Dropbox-Signature": hex(B) }],
  elevenlabs: [{ "ElevenLabs-Signature": `t=${T},v0=${hex(`${T}.`, B)}` }],
  figma: [JSON_TYPE, S, U, JSON.stringify({ event_type: "FILE_UPDATE", passcode: S })],
  github: [{ "X-Hub-Signature-256": `sha256=${hex(B)}` }],
  gitlab: [{ "X-Gitlab-Token": S }],
  gitlab_signed: [standard(), `whsec_${B64}`],
  gocardless: [{ "Webhook-Signature": hex(B) }],
  google: [{ "X-Goog-Channel-Token": S }],
  grafana: [{ "X-Grafana-Alerting-Timestamp": `${T}`, "X-Grafana-Alerting-Signature": hex(`${T}:`, B) }],
  heroku: [{ "Heroku-Webhook-Hmac-SHA256": b64(B) }],
  hubspot: [{ "X-HubSpot-Request-Timestamp": MS, "X-HubSpot-Signature-v3": b64("POST", U, B, MS) }],
  intercom: [{ "X-Hub-Signature": `sha1=${mac("sha1", S, B).digest("hex")}` }],
  jira: [{ "X-Hub-Signature": `sha256=${hex(B)}` }],
  jira_connect: [{ Authorization: `JWT ${jwt({ iss: "jira", iat: T, exp: T + 180, qsh: sha256("POST&/w/01J&team=7") })}` }],
  jira_oauth: [{ Authorization: `Bearer ${jwt({ iss: "app", iat: T, exp: T + 180, qsh: "context-qsh" })}` }],
  lemon_squeezy: [{ "X-Signature": hex(B) }],
  line: [{ "X-Line-Signature": b64(B) }],
  linear: [{ "Linear-Signature": hex(LINEAR) }, S, U, LINEAR],
  mailersend: [{ Signature: hex(B) }],
  mailgun: [JSON_TYPE, S, U, MAILGUN],
  mailtrap: [{ "Mailtrap-Signature": hex(B) }],
  mandrill: [{ ...FORM_TYPE, "X-Mandrill-Signature": mac("sha1", S, U, SORTED).digest("base64") }, S, U, FORM],
  meta: [{ "X-Hub-Signature-256": `sha256=${hex(B)}` }],
  microsoft_graph: [
    JSON_TYPE, S, U,
    JSON.stringify({ value: [{ changeType: "created", clientState: S }, { changeType: "updated", clientState: S }] }),
  ],
  microsoft_teams: [{ Authorization: `HMAC ${mac("sha256", RAW, B).digest("base64")}` }, B64],
  netlify: [{ "X-Webhook-Signature": jwt({ iss: "netlify", sha256: sha256(B) }) }],
  notion: [{ "X-Notion-Signature": `sha256=${hex(B)}` }],
  okta: [{ Authorization: S }],
  openai: [standard(), `whsec_${B64}`],
  paddle: [{ "Paddle-Signature": `ts=${T};h1=${hex(`${T}:`, B)}` }],
  pagerduty: [{ "X-PagerDuty-Signature": `v1=${"0".repeat(64)},v1=${hex(B)}` }],
  paystack: [{ "x-paystack-signature": mac("sha512", S, B).digest("hex").toUpperCase() }],
  postmark: [{ Authorization: `Basic ${Buffer.from("björn:pass:word").toString("base64")}` }, "björn:pass:word"],
  quickbooks: [{ "intuit-signature": b64(B) }],
  razorpay: [{ "X-Razorpay-Signature": hex(B) }],
  replicate: [standard(), `whsec_${B64}`],
  resend: [standard("svix"), `whsec_${B64}`],
  sendgrid: [
    {
      "X-Twilio-Email-Event-Webhook-Timestamp": `${T}`,
      "X-Twilio-Email-Event-Webhook-Signature": sign(EC.privateKey, "sha256", `${T}`, B).toString("base64"),
    },
    spki(EC),
  ],
  sentry: [{ "Sentry-Hook-Signature": hex(B) }],
  shopify: [{ "X-Shopify-Hmac-Sha256": b64(B) }],
  slack: [{ "X-Slack-Request-Timestamp": `${T}`, "X-Slack-Signature": `v0=${hex(`v0:${T}:`, B)}` }],
  square: [{ "x-square-hmacsha256-signature": b64(U, B) }],
  standard_webhooks: [standard(), `whsec_${B64}`],
  standard_webhooks_ed25519: [
    {
      "webhook-id": "msg_1",
      "webhook-timestamp": `${T}`,
      "webhook-signature": `v1,AAAA v1a,${sign(ED.privateKey, null, `msg_1.${T}.`, B).toString("base64")}`,
    },
    `whpk_${raw.toString("base64")}`,
  ],
  stripe: [{ "Stripe-Signature": `t=${T},v1=${hex(`${T}.`, B)},v0=${"0".repeat(64)}` }],
  svix: [standard("svix"), `whsec_${B64}`],
  telegram: [{ "X-Telegram-Bot-Api-Secret-Token": "a-secret_Token1" }, "a-secret_Token1"],
  trello: [{ "X-Trello-Webhook": mac("sha1", S, B, U).digest("base64") }],
  twilio: [{ ...FORM_TYPE, "X-Twilio-Signature": mac("sha1", S, U, SORTED).digest("base64") }, S, U, FORM],
  twilio_json: [{ "X-Twilio-Signature": mac("sha1", S, JSON_U).digest("base64") }, S, JSON_U],
  twitch: [
    {
      "Twitch-Eventsub-Message-Id": "e76c6bd4",
      "Twitch-Eventsub-Message-Timestamp": ISO.replace("Z", "123456Z"), // nanoseconds
      "Twitch-Eventsub-Message-Signature": `sha256=${hex("e76c6bd4", ISO.replace("Z", "123456Z"), B)}`,
    },
  ],
  typeform: [{ "Typeform-Signature": `sha256=${b64(B)}` }],
  vercel: [{ "x-vercel-signature": mac("sha1", S, B).digest("hex") }],
  webflow: [{ "x-webflow-timestamp": MS, "x-webflow-signature": hex(`${MS}:`, B) }],
  woocommerce: [{ "X-WC-Webhook-Signature": b64(B) }],
  workos: [{ "WorkOS-Signature": `t=${MS}, v1=${hex(`${MS}.`, B)}` }],
  xero: [{ "x-xero-signature": b64(B) }],
  zendesk: [{ "X-Zendesk-Webhook-Signature-Timestamp": ISO, "X-Zendesk-Webhook-Signature": b64(ISO, B) }],
  zoom: [{ "x-zm-request-timestamp": `${T}`, "x-zm-signature": `v0=${hex(`v0:${T}:`, B)}` }],
  // Schemes of no sender in the table.
  hex_key: [{ "X-Signature": mac("sha256", RAW, B).digest("hex") }, RAW.toString("hex")],
  rsa: [{ "X-Signature": sign(RSA.privateKey, "sha256", B).toString("base64") }, RSA.publicKey.export({ format: "pem", type: "spki" })],
  bearer: [{ Authorization: "Bearer a-secret_Token1" }, "a-secret_Token1"],
  query_token: [{}, "se/cret+ü", `${U}&token=${encodeURIComponent("se/cret+ü")}`],
};

const signed = Object.entries(vectors).map(([provider, [headers, secret = S, url = U, body = B]]) => ({
  provider, method: "POST", url, headers, body, secret, received_at: T,
}));
console.log(JSON.stringify(signed, null, 1));
