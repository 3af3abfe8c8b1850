// A workflow in Express with its own JSON parser. It answers with what that parser made of the request.
import express from "express";
import { Webhook } from "standardwebhooks";

const [secret, types] = [process.env.SECRET, process.env.TYPES];
const app = express();
const verify = (request, _, bytes) => new Webhook(secret).verify(bytes.toString(), request.headers);
app.use(express.json(types ? { verify, type: types.split(" ") } : { verify }));
app.post("/run", (request, response) => {
  response.json({ body: request.body ?? null, test: request.get("hairtrigger-test") ?? null, type: request.get("ce-type") ?? null });
});
const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
