using Azure.Core;
using Azure.Identity;

namespace ShardCloud.Identity;

/// <summary>The one place where this process's Azure identity comes from: for Storage, Event Hubs, Resource Manager and tokens to each other.</summary>
public static class AzureCredentials
{
    /// <summary>
    /// A managed identity in Azure (<c>AZURE_CLIENT_ID</c> names a user-assigned one); what a developer has signed in with elsewhere. Nothing is asked for before the first token.
    /// </summary>
    /// <remarks>Source: https://learn.microsoft.com/dotnet/azure/sdk/authentication/credential-chains.</remarks>
    public static TokenCredential Create() => new DefaultAzureCredential();
}
