namespace ShardCloud.Identity;

/// <summary>How members, the Orchestrator and people recognise each other: section <c>ShardCloud:Auth</c>. Exactly one of the two is set.</summary>
public sealed class AuthOptions
{
    /// <summary>File of the local key, mode 0600; made on first use. For a cloud on one machine.</summary>
    public string? KeyFile { get; set; }

    /// <summary>Tokens of Microsoft Entra; no secret of our own.</summary>
    public EntraOptions? Entra { get; set; }

    /// <summary>What is wrong with it, in one line; null when it is usable.</summary>
    public string? Fault() => (KeyFile is { Length: > 0 }, Entra) switch
    {
        (false, null) => "ShardCloud:Auth:KeyFile is missing: every member and the Orchestrator name the same key file (or set ShardCloud:Auth:Entra).",
        (true, not null) => "ShardCloud:Auth:KeyFile and ShardCloud:Auth:Entra are both set: tokens come from one of them.",
        (_, { } entra) => entra.Fault(),
        _ => null,
    };
}

/// <summary>One application registration of one tenant. Its app roles are <see cref="Roles"/>, by the same names.</summary>
public sealed class EntraOptions
{
    /// <summary>Directory (tenant) id, a GUID. Tokens of other tenants are refused.</summary>
    public string TenantId { get; set; } = "";

    /// <summary>Application (client) id of the registration, a GUID: the audience of version 2 tokens.</summary>
    public string ClientId { get; set; } = "";

    /// <summary>Application ID URI of the registration, which tokens are asked for and which is the audience of version 1 tokens. Default <c>api://{ClientId}</c>.</summary>
    public string? Audience { get; set; }

    /// <summary>Where the tenant's tokens are issued. Default: the public cloud's <c>https://login.microsoftonline.com</c>.</summary>
    public Uri Authority { get; set; } = new("https://login.microsoftonline.com");

    internal string AudienceOrDefault => Audience is { Length: > 0 } given ? given : $"api://{ClientId}";

    /// <summary>Address of the issuer's metadata (OpenID Connect Discovery 1.0, section 4).</summary>
    internal string Metadata => $"{Issuer}/.well-known/openid-configuration";

    /// <summary>Issuer of version 2 tokens.</summary>
    internal string Issuer => $"{Authority.AbsoluteUri.TrimEnd('/')}/{TenantId}/v2.0";

    /// <summary>Issuer of version 1 tokens: what a registration gets that asks for no version.</summary>
    internal string IssuerOfVersion1 => $"https://sts.windows.net/{TenantId}/";

    internal string? Fault() =>
        !Guid.TryParse(TenantId, out _) ? "ShardCloud:Auth:Entra:TenantId is not a GUID: set it to the directory (tenant) id."
        : !Guid.TryParse(ClientId, out _) ? "ShardCloud:Auth:Entra:ClientId is not a GUID: set it to the application (client) id of the registration."
        : Authority is not { IsAbsoluteUri: true, Scheme: "https" } ? "ShardCloud:Auth:Entra:Authority is not an https address."
        : null;
}
