// Signs one delivery per provider, from the formula in the provider's documentation, with Node's own crypto: none of
// our code is used. `node vectors.mjs > vectors.json`; an argument gives the time of signing in seconds.
import { createHmac } from "node:crypto";

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

const vectors = {
  github: [{ "X-Hub-Signature-256": `sha256=${hex(B)}` }],
  stripe: [{ "Stripe-Signature": `t=${T},v1=${hex(`${T}.`, B)},v0=${"0".repeat(64)}` }],
  slack: [{ "X-Slack-Request-Timestamp": `${T}`, "X-Slack-Signature": `v0=${hex(`v0:${T}:`, B)}` }],
  standard_webhooks: [
    {
      "webhook-id": "msg_1",
      "webhook-timestamp": `${T}`,
      "webhook-signature": `v1a,AAAA v1,${mac("sha256", RAW, `msg_1.${T}.`, B).digest("base64")}`,
    },
    `whsec_${B64}`,
  ],
  svix: [
    {
      "svix-id": "msg_1",
      "svix-timestamp": `${T}`,
      "svix-signature": `v1,${mac("sha256", RAW, `msg_1.${T}.`, B).digest("base64")}`,
    },
    `whsec_${B64}`,
  ],
  typeform: [{ "Typeform-Signature": `sha256=${b64(B)}` }],
  shopify: [{ "X-Shopify-Hmac-Sha256": b64(B) }],
  zoom: [{ "x-zm-request-timestamp": `${T}`, "x-zm-signature": `v0=${hex(`v0:${T}:`, B)}` }],
  mailersend: [{ Signature: hex(B) }],
  linear: [{ "Linear-Signature": hex(B) }],
  gitlab_token: [{ "X-Gitlab-Token": S }],
  bitbucket: [{ "X-Hub-Signature": `sha256=${hex(B)}` }],
  hubspot: [{ "X-HubSpot-Request-Timestamp": MS, "X-HubSpot-Signature-v3": b64("POST", U, B, MS) }],
  intercom: [{ "X-Hub-Signature": `sha1=${mac("sha1", S, B).digest("hex")}` }],
  calendly: [{ "Calendly-Webhook-Signature": `t=${T},v1=${hex(`${T}.`, B)}` }],
  paddle: [{ "Paddle-Signature": `ts=${T};h1=${hex(`${T}:`, B)}` }],
  notion: [{ "X-Notion-Signature": `sha256=${hex(B)}` }],
  airtable: [{ "X-Airtable-Content-MAC": `hmac-sha256=${mac("sha256", RAW, B).digest("hex")}` }, B64],
  asana: [{ "X-Hook-Signature": hex(B) }],
  trello: [{ "X-Trello-Webhook": mac("sha1", S, B, U).digest("base64") }],
  box: [
    {
      "box-signature-version": "1",
      "box-signature-algorithm": "HmacSHA256",
      "box-delivery-timestamp": ISO,
      "box-signature-primary": b64(B, ISO),
    },
  ],
  dropbox: [{ "X-Dropbox-Signature": hex(B) }],
  zendesk: [{ "X-Zendesk-Webhook-Signature-Timestamp": ISO, "X-Zendesk-Webhook-Signature": b64(ISO, B) }],
  pagerduty: [{ "X-PagerDuty-Signature": `v1=${"0".repeat(64)},v1=${hex(B)}` }],
  square: [{ "x-square-hmacsha256-signature": b64(U, B) }],
  workos: [{ "WorkOS-Signature": `t=${MS}, v1=${hex(`${MS}.`, B)}` }],
  line: [{ "X-Line-Signature": b64(B) }],
  razorpay: [{ "X-Razorpay-Signature": hex(B) }],
  gocardless: [{ "Webhook-Signature": hex(B) }],
  coinbase_commerce: [{ "X-CC-Webhook-Signature": hex(B) }],
  elevenlabs: [{ "ElevenLabs-Signature": `t=${T},v0=${hex(`${T}.`, B)}` }],
  twitch: [
    {
      "Twitch-Eventsub-Message-Id": "e76c6bd4",
      "Twitch-Eventsub-Message-Timestamp": ISO.replace("Z", "123456Z"), // nanoseconds
      "Twitch-Eventsub-Message-Signature": `sha256=${hex("e76c6bd4", ISO.replace("Z", "123456Z"), B)}`,
    },
  ],
  vercel: [{ "x-vercel-signature": mac("sha1", S, B).digest("hex") }],
  webflow: [{ "x-webflow-timestamp": MS, "x-webflow-signature": hex(`${MS}:`, B) }],
  paystack: [{ "x-paystack-signature": mac("sha512", S, B).digest("hex").toUpperCase() }],
  teams: [{ Authorization: `HMAC ${mac("sha256", RAW, B).digest("base64")}` }, B64],
  hex_key: [{ "X-Signature": mac("sha256", RAW, B).digest("hex") }, RAW.toString("hex")],
  telegram: [{ "X-Telegram-Bot-Api-Secret-Token": "a-secret_Token1" }, "a-secret_Token1"],
  bearer: [{ Authorization: "Bearer a-secret_Token1" }, "a-secret_Token1"],
  query_token: [{}, "se/cret+ü", `${U}&token=${encodeURIComponent("se/cret+ü")}`],
  basic: [{ Authorization: `Basic ${Buffer.from("björn:pass:word").toString("base64")}` }, "björn:pass:word"],
};

const signed = Object.entries(vectors).map(([provider, [headers, secret = S, url = U]]) => ({
  provider, method: "POST", url, headers, body: B, secret, received_at: T,
}));
console.log(JSON.stringify(signed, null, 1));
