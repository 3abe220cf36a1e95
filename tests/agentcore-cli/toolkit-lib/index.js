// Stands in for the CDK, the one package the CLI has not bundled. It is asked for at start-up and used when
// something is deployed, which the tests don't do with this tool.
export class Toolkit {}
export const BaseCredentials = {};
export const BootstrapEnvironments = {};
export const BootstrapStackParameters = {};
export const StackSelectionStrategy = {};
