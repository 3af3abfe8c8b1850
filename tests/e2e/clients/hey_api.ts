import { createClient } from "./hey-triggers/client";
import { createTrigger, deleteTrigger, disableTrigger, enableTrigger, getTrigger } from "./hey-triggers";
import { createProject, updateProjectTrigger } from "./hey-hairtrigger";
import { createClient as createOwn } from "./hey-hairtrigger/client";
import { createIntegration, createTrigger as createDefinition } from "./hey-integrations";
import { createClient as createOdeus } from "./hey-integrations/client";

declare const process: { argv: string[]; exit(code: number): never };

async function main(url: string, token: string, key: string): Promise<void> {
  const headers = { authorization: `Bearer ${token}` };
  const client = createClient({ baseUrl: url, headers });
  const own = createOwn({ baseUrl: `${url}/v1`, headers });
  const odeus = createOdeus({ baseUrl: `${url}/integrations/v1`, headers: { authorization: `Bearer ${key}` } });

  const integration = await createIntegration({ client: odeus, body: { name: "Tracker" } });
  if (!integration.data) throw new Error(JSON.stringify(integration.error));
  const integrationId = integration.data.integration.id;
  const body = { name: "New issue", pollingCode: "return [{ id: 1 }]" };
  const made = await createDefinition({ client: odeus, path: { integrationId }, body });
  if (!made.data) throw new Error(JSON.stringify(made.error));
  const twice = await createDefinition({ client: odeus, path: { integrationId }, body });
  const conflict: string | { message: string }[] | undefined = twice.error?.message;

  const project = await createProject({ client: own, body: { name: "Project", target: { kind: "log" } } });
  if (!project.data) throw new Error(project.error.detail);
  const created = await createTrigger({
    client, path: { project_id: project.data.id },
    body: { provider_id: integrationId, trigger_id: made.data.trigger.slug, trigger_config: {} },
  });
  if (!created.data) throw new Error(JSON.stringify(created.error));
  const path = { project_trigger_id: created.data.project_trigger_id };
  const enabled = await enableTrigger({ client, path });
  const changed = await updateProjectTrigger({ client: own, path, body: { name: "Named" } });
  const disabled = await disableTrigger({ client, path });
  const deleted = await deleteTrigger({ client, path });
  const gone = await getTrigger({ client, path });
  const sentence: string | { msg: string }[] | undefined = gone.error?.detail;
  console.log(JSON.stringify([
    twice.response?.status, typeof conflict, enabled.data?.status, changed.data?.name, disabled.data?.status,
    deleted.response?.status, gone.response?.status, sentence,
  ]));
}
const [url, token, key] = process.argv.slice(2);
main(url!, token!, key!).catch((error: unknown) => { console.error(error); process.exit(1); });
