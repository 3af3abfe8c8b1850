import createClient from "openapi-fetch";
import type { paths as Own } from "./hairtrigger";
import type { paths as Integrations } from "./integrations";
import type { paths as Triggers } from "./triggers";

declare const process: { argv: string[]; exit(code: number): never };

async function main(url: string, token: string, key: string): Promise<void> {
  const headers = { authorization: `Bearer ${token}` };
  const own = createClient<Own>({ baseUrl: `${url}/v1`, headers });
  const triggers = createClient<Triggers>({ baseUrl: url, headers });
  const integrations = createClient<Integrations>({
    baseUrl: `${url}/integrations/v1`, headers: { authorization: `Bearer ${key}` },
  });

  const integration = await integrations.POST("/create", { body: { name: "Tracker" } });
  if (!integration.data) throw new Error(JSON.stringify(integration.error));
  const integrationId = integration.data.integration.id;
  const made = await integrations.POST("/{integrationId}/triggers/create", {
    params: { path: { integrationId } }, body: { name: "New issue", pollingCode: "return [{ id: 1 }]" },
  });
  if (!made.data) throw new Error(JSON.stringify(made.error));
  const twice = await integrations.POST("/{integrationId}/triggers/create", {
    params: { path: { integrationId } }, body: { name: "New issue" },
  });
  const conflict: string | { code: string; message: string }[] | undefined = twice.error?.message;

  const project = await own.POST("/projects", { body: { name: "Project", target: { kind: "log" } } });
  if (!project.data) throw new Error(project.error.detail);
  const created = await triggers.POST("/projects/{project_id}/triggers", {
    params: { path: { project_id: project.data.id } },
    body: { provider_id: integrationId, trigger_id: made.data.trigger.slug, trigger_config: {} },
  });
  if (!created.data) throw new Error(JSON.stringify(created.error));
  const path = { project_trigger_id: created.data.project_trigger_id };
  const enabled = await triggers.POST("/triggers/{project_trigger_id}/enable", { params: { path } });
  const changed = await own.PATCH("/project-triggers/{project_trigger_id}", { params: { path }, body: { name: "Named" } });
  const disabled = await triggers.POST("/triggers/{project_trigger_id}/disable", { params: { path } });
  const deleted = await triggers.DELETE("/triggers/{project_trigger_id}", { params: { path } });
  const gone = await triggers.GET("/triggers/{project_trigger_id}", { params: { path } });
  const sentence: string | { msg: string }[] | undefined = gone.error?.detail;
  console.log(JSON.stringify([
    twice.response.status, typeof conflict, enabled.data?.status, changed.data?.name, disabled.data?.status,
    deleted.response.status, gone.response.status, sentence,
  ]));
}
const [url, token, key] = process.argv.slice(2);
main(url!, token!, key!).catch((error: unknown) => { console.error(error); process.exit(1); });
