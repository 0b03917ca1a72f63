using System.Text.Json;

namespace ShardCloud.LocalCloud.Functions;

/// <summary>The keys of host.json that the real host or its bundled extensions read. Others do nothing there, and are often a slip of the pen.</summary>
internal static class HostJsonKeys
{
    /// <summary>Children of a key that is in no list are not looked at: the sections are the extensions' own.</summary>
    private static readonly Dictionary<string, string[]> Known = new(StringComparer.OrdinalIgnoreCase)
    {
        [""] = ["version", "functionTimeout", "functions", "extensionBundle", "customHandler", "extensions", "logging", "healthMonitor", "singleton",
            "watchDirectories", "watchFiles", "managedDependency", "concurrency", "retry", "aggregator", "telemetryMode", "$schema"],
        ["customHandler"] = ["description", "enableForwardingHttpRequest", "enableProxyingHttpRequest", "port", "http"],
        ["customHandler.description"] = ["defaultExecutablePath", "defaultWorkerPath", "workingDirectory", "arguments"],
        ["extensionBundle"] = ["id", "version"],
        ["extensions.queues"] = ["maxPollingInterval", "visibilityTimeout", "batchSize", "maxDequeueCount", "newBatchThreshold", "messageEncoding"],
        ["extensions.durableTask"] = ["hubName", "storageProvider", "tracing", "notifications", "maxConcurrentActivityFunctions", "maxConcurrentOrchestratorFunctions",
            "maxConcurrentEntityFunctions", "extendedSessionsEnabled", "extendedSessionIdleTimeoutInSeconds", "maxEntityOperationBatchSize", "overridableExistingInstanceStates",
            "storeInputsInOrchestrationHistory", "useAppLease", "useGracefulShutdown", "maxOrchestrationActions", "entityMessageReorderWindowInMinutes", "rollbackEntityOperationsOnExceptions",
            "maximumShortTimerDuration", "longRunningTimerIntervalLength", "httpSettings", "grpcEnabled", "localRpcEndpointEnabled", "defaultVersion", "versionMatchStrategy", "versionFailureStrategy"],
        ["extensions.durableTask.storageProvider"] = ["type", "connectionName", "connectionStringName", "partitionCount", "maxQueuePollingInterval", "controlQueueBatchSize", "controlQueueBufferThreshold",
            "controlQueueVisibilityTimeout", "workItemQueueVisibilityTimeout", "trackingStoreConnectionName", "trackingStoreConnectionStringName", "trackingStoreNamePrefix", "useLegacyPartitionManagement",
            "useTablePartitionManagement", "queueClientMessageEncoding", "fetchLargeMessagesAutomatically"],
    };

    public static List<string> Unknown(JsonElement root)
    {
        List<string> found = [];
        Collect(root, "", found);
        return found;
    }

    private static void Collect(JsonElement element, string path, List<string> found)
    {
        if (element.ValueKind != JsonValueKind.Object) return;
        foreach (var property in element.EnumerateObject())
        {
            var key = path.Length == 0 ? property.Name : $"{path}.{property.Name}";
            if (Known.TryGetValue(path, out var names) && !names.Contains(property.Name, StringComparer.OrdinalIgnoreCase)) found.Add(key);
            else Collect(property.Value, key, found);
        }
    }
}
