/** The routes in an application of their own, to try them: `PORT=3000 AWS_ENDPOINT_URL=… npm start`. */

import type { AddressInfo } from "node:net";
import express from "express";
import { Agent, Regions } from "./agent.js";
import { coachRoutes } from "./routes.js";

const COACH = "arn:aws:bedrock-agentcore:eu-west-1:732231126129:runtime/coach_companion-0ZUOP04U5z";

// Several by commas: one a region, home first.
const arns = (process.env["AGENT_RUNTIME_ARN"] ?? COACH).split(",");
const options = {
  qualifier: process.env["AGENT_RUNTIME_QUALIFIER"],
  silenceMs: Number(process.env["SILENCE_MS"] ?? 60_000),
};
const agent = new Regions(arns.map((arn) => new Agent(arn, options)));
const application = express();
application.disable("x-powered-by");
application.use(
  coachRoutes(agent, {
    // Stands in for a login, and is good for nothing else.
    sessionOf: (request) => `try-out-session-of-${(request.get("x-user") ?? "nobody").padStart(16, "-")}`,
  }),
);
const server = application.listen(Number(process.env["PORT"] ?? 3000), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
