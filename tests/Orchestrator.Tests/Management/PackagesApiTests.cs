using System.IO.Compression;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Tests.Support;
using ShardCloud.Tests;

namespace ShardCloud.Orchestrator.Tests.Management;

/// <summary>A package goes to the store by an address of its own, and is published once.</summary>
[Collection(AzuriteCollection.Name)]
public sealed class PackagesApiTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private TestCloud _cloud = null!;

    public ValueTask InitializeAsync()
    {
        _cloud = new TestCloud(azurite);
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync() => _cloud.DisposeAsync();

    [Fact]
    public async Task UploadedAndPublished_IsListed_AndTwiceIsOnce()
    {
        Assert.Empty((await ReadAsync<PackageList>(await _cloud.SendAsync(HttpMethod.Get, "/api/packages", null))).Packages);
        var zip = Zip("2.0.0");
        var first = await _cloud.SendAsync(HttpMethod.Post, "/api/packages", await UploadAsync(zip));
        Assert.Equal((HttpStatusCode.Created, "/api/packages/2.0.0"), (first.StatusCode, first.Headers.Location?.ToString()));
        var again = await _cloud.SendAsync(HttpMethod.Post, "/api/packages", await UploadAsync(zip));
        await PublishAsync("10.0.0");

        var (one, other) = (await ReadAsync<PublishedPackage>(first), await ReadAsync<PublishedPackage>(again));
        Assert.Equal((one.Sha256, one.PublishedAt, "dotnet App.dll"), (other.Sha256, other.PublishedAt, string.Join(' ', one.Command)));
        Assert.Equal(["10.0.0", "2.0.0"], (await ReadAsync<PackageList>(await _cloud.SendAsync(HttpMethod.Get, "/api/packages", null))).Packages.Select(package => package.Version));
        Assert.Equal(one.Sha256, (await ReadAsync<PublishedPackage>(await _cloud.SendAsync(HttpMethod.Get, "/api/packages/2.0.0", null))).Sha256);
    }

    [Fact]
    public async Task SameVersionWithOtherContent_IsRefused_AndTheFirstStays()
    {
        var first = await PublishAsync("2.0.0");
        await RefusedAsync(409, ErrorCodes.PackageExists, await UploadAsync(Zip("2.0.0", "other content")));
        Assert.Equal(first.Sha256, (await ReadAsync<PublishedPackage>(await _cloud.SendAsync(HttpMethod.Get, "/api/packages/2.0.0", null))).Sha256);
    }

    [Fact]
    public async Task WhatIsNoPackage_IsRefused_AndNothingIsPublished()
    {
        await RefusedAsync(404, ErrorCodes.NotFound, """{"upload":"0123456789abcdef0123456789abcdef"}""");
        await RefusedAsync(404, ErrorCodes.NotFound, """{"upload":"../2.0.0"}""");
        await RefusedAsync(400, ErrorCodes.PackageUnreadable, await UploadAsync(Zip("2.0.0")[..100]));
        await RefusedAsync(400, ErrorCodes.PackageManifestBad, await UploadAsync(Zip("2.0")));
        Assert.Empty((await ReadAsync<PackageList>(await _cloud.SendAsync(HttpMethod.Get, "/api/packages", null))).Packages);
        Assert.Equal(ErrorCodes.UnknownVersion, (await TestCloud.ProblemAsync(await _cloud.SendAsync(HttpMethod.Get, "/api/packages/2.0.0", null))).Code);
    }

    /// <summary>The address writes one blob and nothing else.</summary>
    [Fact]
    public async Task Address_IsForOneBlob()
    {
        var upload = await ReadAsync<PackageUpload>(await _cloud.SendAsync(HttpMethod.Post, "/api/packages/uploads", null));
        using var http = new HttpClient();
        using var other = await http.SendAsync(Put(upload.Url.Replace(upload.Upload, "0123456789abcdef0123456789abcdef", StringComparison.Ordinal), [1]), TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.Forbidden, other.StatusCode);
        using var read = await http.GetAsync(upload.Url, TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.Forbidden, read.StatusCode);
    }

    private async Task<PublishedPackage> PublishAsync(string version) => await ReadAsync<PublishedPackage>(await _cloud.SendAsync(HttpMethod.Post, "/api/packages", await UploadAsync(Zip(version))));

    private async Task<string> UploadAsync(byte[] zip)
    {
        var upload = await ReadAsync<PackageUpload>(await _cloud.SendAsync(HttpMethod.Post, "/api/packages/uploads", null));
        using var http = new HttpClient();
        using var answer = await http.SendAsync(Put(upload.Url, zip), TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.Created, answer.StatusCode);
        return $$"""{"upload":"{{upload.Upload}}"}""";
    }

    private async Task RefusedAsync(int status, string code, string body)
    {
        var response = await _cloud.SendAsync(HttpMethod.Post, "/api/packages", body);
        Assert.Equal((status, code), ((int)response.StatusCode, (await TestCloud.ProblemAsync(response)).Code));
    }

    private static HttpRequestMessage Put(string url, byte[] content) =>
        new(HttpMethod.Put, url) { Content = new ByteArrayContent(content), Headers = { { "x-ms-blob-type", "BlockBlob" } } };

    private static async Task<T> ReadAsync<T>(HttpResponseMessage response)
    {
        Assert.True(response.IsSuccessStatusCode, await response.Content.ReadAsStringAsync());
        return (await response.Content.ReadFromJsonAsync<T>(JsonSerializerOptions.Web))!;
    }

    private static byte[] Zip(string version, string app = "an application")
    {
        var bytes = new MemoryStream();
        using (var zip = new ZipArchive(bytes, ZipArchiveMode.Create, leaveOpen: true))
        {
            Write("shardcloud.json", $$"""{"version":"{{version}}","command":["dotnet","App.dll"]}""");
            Write("App.dll", app);

            void Write(string name, string text)
            {
                var entry = zip.CreateEntry(name);
                entry.LastWriteTime = new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
                using var writer = new StreamWriter(entry.Open());
                writer.Write(text);
            }
        }
        return bytes.ToArray();
    }
}
