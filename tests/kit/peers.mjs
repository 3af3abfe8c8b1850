// Other projects' libraries check and sign requests. `node peers.mjs FILE NOW` reads a list of
// {peer, request: {url, headers, body}, secret} from the file, and prints for each whether the library accepts the
// request. Where `sign` is set, it prints the request's headers as the library signs them. The clock stands at NOW, in
// milliseconds, so that no library finds a request late because this machine is slow.
import { registerHooks } from "node:module";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import https from "node:https";
import { Readable } from "node:stream";
import { parse } from "node:querystring";

const NOW = Number(process.argv[3]);
globalThis.Date = class extends Date {
  constructor(...parts) {
    super(...(parts.length ? parts : [NOW]));
  }
  static now() {
    return NOW;
  }
};

// nuxt-webhook-validators is made for a framework: these are the four functions of the framework that it calls.
const PARTS = {
  "#imports": "export const useRuntimeConfig = (event) => event.config;",
  h3: "export const getRequestHeaders = (event) => event.headers;" +
    "export const readRawBody = async (event) => event.body; export const createError = ({message}) => new Error(message);",
};
registerHooks({
  resolve: (name, context, next) =>
    name in PARTS ? { url: `data:text/javascript,${encodeURIComponent(PARTS[name])}`, shortCircuit: true } : next(name, context),
});

const require = createRequire(import.meta.url);
const nuxt = (name, config) => async ({ headers, body }, secret) => {
  const folder = "nuxt-webhook-validators/dist/runtime/server/lib/validators";
  const path = new URL(`./node_modules/${folder}/${name}.js`, import.meta.url).href;
  const [validate] = Object.values(await import(path));
  return validate({ headers, body, config: { webhook: { [name.split(".")[0]]: config(secret) } } });
};
const tern = (platform, config) => async ({ url, headers, body }, secret) => {
  const { WebhookVerificationService } = require("@hookflo/tern");
  const request = new Request(url, { method: "POST", headers, body });
  const signatureConfig = config && { algorithm: "hmac-sha256", headerFormat: "raw", payloadFormat: "raw", ...config };
  const result = await WebhookVerificationService.verify(request, { platform, secret, ...(signatureConfig && { signatureConfig }) });
  return result.isValid;
};
const inBase64 = { customConfig: { encoding: "base64", secretEncoding: "utf8" } };
const listed = (headerName, signatureKey, timestampKey, payloadFormat) => ({
  headerName, headerFormat: "comma-separated", payloadFormat: "custom",
  customConfig: { signatureKey, timestampKey, payloadFormat },
});
const boxed = { "box-signature-version": "1", "box-signature-algorithm": "HmacSHA256" };
const certificates = {};
https.get = (url, done) => {
  const answer = Readable.from([certificates[url]]);
  answer.statusCode = 200;
  setImmediate(() => done(answer));
  return { on: () => undefined };
};

const verify = {
  "twilio: twilio": ({ url, headers, body }, secret) =>
    require("twilio").validateRequest(secret, headers["x-twilio-signature"], url, { ...parse(body) }),
  "twilio_json: twilio": ({ url, headers, body }, secret) =>
    require("twilio").validateRequestWithBody(secret, headers["x-twilio-signature"], url, body),
  "sendgrid: @sendgrid/eventwebhook": ({ headers, body }, secret) => {
    const { EventWebhook } = require("@sendgrid/eventwebhook");
    const name = "x-twilio-email-event-webhook";
    const checker = new EventWebhook();
    const pem = `-----BEGIN PUBLIC KEY-----\n${secret}\n-----END PUBLIC KEY-----`;
    return checker.verifySignature(
      checker.convertPublicKeyToECDSA(pem), body, headers[`${name}-signature`], headers[`${name}-timestamp`]);
  },
  "discord: discord-interactions": ({ headers, body }, secret) =>
    require("discord-interactions").verifyKey(body, headers["x-signature-ed25519"], headers["x-signature-timestamp"], secret),
  "discord: nuxt": nuxt("discord", (publicKey) => ({ publicKey })),
  "paddle: nuxt": nuxt("paddle", (webhookId) => ({ webhookId })),
  "notion: @notionhq/client": ({ headers, body }, secret) => require("@notionhq/client").verifyWebhookSignature({
    body, signature: headers["x-notion-signature"], verificationToken: secret }),
  "svix: svix": ({ headers, body }, secret) => [new (require("svix").Webhook)(secret).verify(body, headers)].length === 1, // it throws otherwise
  "standard_webhooks: standardwebhooks": ({ headers, body }, secret) =>
    [new (require("standardwebhooks").Webhook)(secret).verify(body, headers)].length === 1,
  "razorpay: razorpay": ({ headers, body }, secret) =>
    require("razorpay").validateWebhookSignature(body, headers["x-razorpay-signature"], secret),
  "adyen: @adyen/api-library": ({ body }, secret) => {
    const Validator = require("@adyen/api-library").hmacValidator;
    return new Validator().validateHMAC(JSON.parse(body).notificationItems[0].NotificationRequestItem, secret);
  },
  "aws_sns: sns-validator": ({ body, certificate }) => new Promise((done) => {
    certificates[JSON.parse(body).SigningCertURL] = certificate;
    new (require("sns-validator"))().validate(body, (error) => done(!error));
  }),
  "jira_connect: atlassian-jwt": ({ url, headers }, secret) => {
    const jwt = require("atlassian-jwt");
    const { pathname, search } = new URL(url);
    const claims = jwt.decodeSymmetric(headers.authorization.replace("JWT ", ""), secret, "HS256");
    return claims.qsh === jwt.createQueryStringHash(jwt.fromMethodAndUrl("POST", `${pathname}${search}`));
  },
  "github: @octokit/webhooks-methods": async ({ headers, body }, secret) =>
    (await import(import.meta.resolve("@octokit/webhooks-methods"))).verify(secret, body, headers["x-hub-signature-256"]),
  "workos: @workos-inc/node": ({ headers, body }, secret) => {
    const { WorkOS } = require("@workos-inc/node");
    return new WorkOS("key").webhooks.verifyHeader({ payload: JSON.parse(body), sigHeader: headers["workos-signature"], secret });
  },
  "linear: @linear/sdk": ({ headers, body }, secret) =>
    new (require("@linear/sdk/webhooks").LinearWebhookClient)(secret).verify(Buffer.from(body), headers["linear-signature"]),
  "hubspot: @hubspot/api-client": ({ url, headers, body }, secret) => require("@hubspot/api-client").Signature.isValid({
    signatureVersion: "v3", signature: headers["x-hubspot-signature-v3"], method: "POST", clientSecret: secret,
    requestBody: body, url, timestamp: Number(headers["x-hubspot-request-timestamp"]) }),
  "coinbase_commerce: coinbase-commerce-node": ({ headers, body }, secret) =>
    require("coinbase-commerce-node").Webhook.verifySigHeader(body, headers["x-cc-webhook-signature"], secret),
  "gocardless: gocardless-nodejs": ({ headers, body }, secret) => {
    require("gocardless-nodejs/webhooks").verifySignature(body, secret, headers["webhook-signature"]);
    return true;
  },
  "box: box-node-sdk": ({ headers, body }, secret) =>
    require("box-node-sdk/lib/managers/webhooks").WebhooksManager.validateMessage(body, { ...boxed, ...headers }, secret, { secondaryKey: secret, maxAge: 600 }),
  "slack: nuxt": nuxt("slack", (secretKey) => ({ secretKey })),
  "shopify: nuxt": nuxt("shopify", (secretKey) => ({ secretKey })),
  "shopify: tern": tern("shopify"),
  "meta: nuxt": nuxt("meta", (appSecret) => ({ appSecret })),
  "dropbox: nuxt": nuxt("dropbox", (appSecret) => ({ appSecret })),
  "bitbucket: nuxt": nuxt("bitbucket", (secretKey) => ({ secretKey })),
  "gitlab: nuxt": nuxt("gitlab", (secretToken) => ({ secretToken })),
  "heroku: nuxt": nuxt("heroku", (secretKey) => ({ secretKey })),
  "netlify: nuxt": nuxt("netlify", (secretKey) => ({ secretKey })),
  "twitch: nuxt": nuxt("twitch", (secretKey) => ({ secretKey })),
  "vercel: nuxt": nuxt("vercel", (secretKey) => ({ secretKey })),
  "docusign: nuxt": nuxt("docusign", (secretKey) => ({ secretKey })),
  "resend: nuxt": nuxt("resend", (secretKey) => ({ secretKey })),
  "calcom: nuxt": nuxt("calcom.post", (secretKey) => ({ secretKey })),
  "stripe: tern": tern("stripe"),
  "clerk: tern": tern("clerk"),
  "replicate: tern": tern("replicateai"),
  "openai: tern": tern("dodopayments"),
  "gitlab_signed: tern": tern("dodopayments"),
  "lemon_squeezy: tern": tern("lemonsqueezy"),
  "woocommerce: tern": tern("woocommerce"),
  "sentry: tern": tern("sentry"),
  // tern's own grammar, told in words of its own.
  "calendly: tern": tern("custom", listed("calendly-webhook-signature", "v1", "t", "{timestamp}.{body}")),
  "elevenlabs: tern": tern("custom", listed("elevenlabs-signature", "v0", "t", "{timestamp}.{body}")),
  "line: tern": tern("custom", { headerName: "x-line-signature", ...inBase64 }),
  "xero: tern": tern("custom", { headerName: "x-xero-signature", ...inBase64 }),
  "quickbooks: tern": tern("custom", { headerName: "intuit-signature", ...inBase64 }),
  "clickup: tern": tern("custom", { headerName: "x-signature" }),
  "asana: tern": tern("custom", { headerName: "x-hook-signature" }),
  "mailersend: tern": tern("custom", { headerName: "signature" }),
  "mailtrap: tern": tern("custom", { headerName: "mailtrap-signature" }),
  "jira: tern": tern("custom", { headerName: "x-hub-signature", headerFormat: "prefixed", prefix: "sha256=" }),
  "intercom: tern": tern("custom", { algorithm: "hmac-sha1", headerName: "x-hub-signature", headerFormat: "prefixed", prefix: "sha1=" }),
  "paystack: tern": tern("custom", { algorithm: "hmac-sha512", headerName: "x-paystack-signature" }),
  "telegram: tern": tern("custom", {
    algorithm: "custom", headerName: "x-telegram-bot-api-secret-token", customConfig: { type: "token-based" } }),
  "google: tern": tern("custom", {
    algorithm: "custom", headerName: "x-goog-channel-token", customConfig: { type: "token-based" } }),
};

const sign = {
  "svix: svix": ({ body }, secret) => {
    const at = new Date();
    const signature = new (require("svix").Webhook)(secret).sign("msg_1", at, body);
    return { "svix-id": "msg_1", "svix-timestamp": `${Math.floor(at / 1000)}`, "svix-signature": signature };
  },
  "github: @octokit/webhooks-methods": async ({ body }, secret) => {
    const methods = await import(import.meta.resolve("@octokit/webhooks-methods"));
    return { "x-hub-signature-256": await methods.sign(secret, body) };
  },
  "notion: @notionhq/client": async ({ body }, secret) => ({
    "x-notion-signature": await require("@notionhq/client").signWebhookPayload({ body, verificationToken: secret }) }),
  "twilio: twilio": ({ url, body }, secret) => ({
    "content-type": "application/x-www-form-urlencoded",
    "x-twilio-signature": require("twilio").getExpectedTwilioSignature(secret, url, { ...parse(body) }) }),
  "jira_connect: atlassian-jwt": ({ url }, secret) => {
    const jwt = require("atlassian-jwt");
    const { pathname, search } = new URL(url);
    const now = Math.floor(Date.now() / 1000);
    const qsh = jwt.createQueryStringHash(jwt.fromMethodAndUrl("POST", `${pathname}${search}`));
    return { authorization: `JWT ${jwt.encodeSymmetric({ iss: "jira", iat: now, exp: now + 180, qsh }, secret, "HS256")}` };
  },
  "workos: @workos-inc/node": async ({ body }, secret) => {
    const now = Date.now();
    const { WorkOS } = require("@workos-inc/node");
    const signature = await new WorkOS("key").webhooks.computeSignature(now, JSON.parse(body), secret);
    return { "workos-signature": `t=${now}, v1=${signature}` };
  },
  "hubspot: @hubspot/api-client": ({ url, body }, secret) => {
    const timestamp = Date.now();
    const signed = { clientSecret: secret, requestBody: body, url, timestamp };
    const signature = require("@hubspot/api-client").Signature.getSignature("POST", "v3", signed);
    return { "x-hubspot-request-timestamp": `${timestamp}`, "x-hubspot-signature-v3": signature };
  },
  "coinbase_commerce: coinbase-commerce-node": ({ body }, secret) => ({
    "x-cc-webhook-signature": require("coinbase-commerce-node").Webhook.computeSignature(body, secret) }),
};

console.log = console.error = console.warn = () => undefined; // some of them talk
const answers = [];
for (const { peer, request, secret, signed } of JSON.parse(readFileSync(process.argv[2]))) {
  try {
    answers.push(await (signed ? sign : verify)[peer](request, secret));
  } catch (error) {
    answers.push(signed || /Cannot find|is not a (function|constructor)|undefined/.test(error.message) ? `${error.stack}` : false);
  }
}
process.stdout.write(JSON.stringify({ answers, verify: Object.keys(verify), sign: Object.keys(sign) }));
