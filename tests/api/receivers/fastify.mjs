// A workflow in Fastify with its own JSON parser. It answers with what that parser made of the request.
import Fastify from "fastify";
import { Webhook } from "standardwebhooks";

const app = Fastify();
app.addHook("preParsing", async (request, _, stream) => {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  new Webhook(process.env.SECRET).verify(bytes.toString(), request.headers);
  const { Readable } = await import("node:stream");
  return Object.assign(Readable.from([bytes]), { receivedEncodedLength: bytes.length });
});
for (const type of (process.env.TYPES ?? "").split(" ").filter(Boolean)) {
  app.addContentTypeParser(type, { parseAs: "string" }, app.getDefaultJsonParser("error", "error"));
}
app.post("/run", async (request) => ({
  body: request.body ?? null,
  test: request.headers["hairtrigger-test"] ?? null,
  type: request.headers["ce-type"] ?? null,
}));
await app.listen({ port: 0, host: "127.0.0.1" });
console.log(app.server.address().port);
