-- Health of a GearmanWorkerPool for Argo CD, which does not read kstatus conditions of custom resources by itself.
-- Goes into the ConfigMap argocd-cm under resource.customizations.health.gearman.dev_GearmanWorkerPool (docs/gitops.md).
local function health(status, message)
  return { status = status, message = message or "" }
end

local status = obj.status or {}
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end
local ready = conditions.Ready
local stalled = conditions.Stalled

if ready == nil or status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", "waiting for the operator to see this version of the pool")
end
if stalled ~= nil and stalled.status == "True" then
  return health("Degraded", stalled.message)
end
if obj.spec.scaling ~= nil and obj.spec.scaling.mode == "Paused" then
  return health("Suspended", "scaling.mode is Paused")
end
if ready.status == "True" then
  return health("Healthy")
end
-- These do not pass by themselves. A silent job server does: it may be starting in the same sync.
if ready.reason == "PodsNotStarting" or ready.reason == "LoadBalanced" then
  return health("Degraded", ready.message)
end
return health("Progressing", ready.message)
