using Azure;
using Azure.Data.Tables;
using Azure.Storage.Blobs;
using ShardCloud.LocalCloud.Azurite;

namespace ShardCloud.LocalCloud.Tests.Azurite;

/// <summary>Against the real emulator. The first run installs it into the user's cache, which takes a registry and half a minute.</summary>
public sealed class AzuriteTests : IDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromMinutes(5);

    private readonly string _folder = Directory.CreateTempSubdirectory("shardcloud-azurite-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Start_InMemory_TablesAndBlobsWorkWithTheConnectionString()
    {
        await using var azurite = await AzuriteProcess.StartAsync(new AzuriteOptions()).WaitAsync(Deadline);
        var table = new TableClient(azurite.ConnectionString, "members");
        await table.CreateAsync();
        await table.AddEntityAsync(new TableEntity("p", "r") { ["n"] = 1 });
        var container = new BlobContainerClient(azurite.ConnectionString, "snapshots");
        await container.CreateAsync();
        await container.UploadBlobAsync("slot-1", BinaryData.FromString("state"));

        var conflict = await Assert.ThrowsAsync<RequestFailedException>(() => table.AddEntityAsync(new TableEntity("p", "r")));

        Assert.Equal(409, conflict.Status);
        Assert.Equal("state", (await container.GetBlobClient("slot-1").DownloadContentAsync()).Value.Content.ToString());
    }

    [Fact]
    public async Task Dispose_ThenStartOverTheSameFolder_TablesAreKept()
    {
        var options = new AzuriteOptions { DataFolder = _folder };
        await using (var first = await AzuriteProcess.StartAsync(options).WaitAsync(Deadline))
        {
            var table = new TableClient(first.ConnectionString, "members");
            await table.CreateAsync();
            await table.AddEntityAsync(new TableEntity("p", "r") { ["n"] = 42 });
        }

        await using var second = await AzuriteProcess.StartAsync(options).WaitAsync(Deadline);
        var row = await new TableClient(second.ConnectionString, "members").GetEntityAsync<TableEntity>("p", "r");

        Assert.Equal(42, row.Value.GetInt32("n"));
    }

    [Fact]
    public async Task Start_FolderInUse_IsRefusedWithACode()
    {
        await using var first = await AzuriteProcess.StartAsync(new AzuriteOptions { DataFolder = _folder }).WaitAsync(Deadline);

        var error = await Assert.ThrowsAsync<ShardCloudException>(() => AzuriteProcess.StartAsync(new AzuriteOptions { DataFolder = _folder }));

        Assert.Equal(ErrorCodes.DataInUse, error.Code);
    }

    [Fact]
    public async Task Start_PortTaken_IsRefusedWithACode()
    {
        await using var first = await AzuriteProcess.StartAsync(new AzuriteOptions()).WaitAsync(Deadline);

        var error = await Assert.ThrowsAsync<ShardCloudException>(() => AzuriteProcess.StartAsync(new AzuriteOptions { TablePort = first.TableEndpoint.Port }));

        Assert.Equal(ErrorCodes.PortInUse, error.Code);
    }

    [Fact]
    public async Task Install_PackagesCannotBeHad_LeavesNothingInUseAndSaysSo()
    {
        byte[] broken = [.. "{"u8];

        var error = await Assert.ThrowsAsync<ShardCloudException>(() => NpmFolder.EnsureAsync(
            _folder, "broken", [("package.json", broken), ("package-lock.json", broken)], "index.js", TimeSpan.FromMinutes(1), null, default));

        Assert.Equal(ErrorCodes.NpmInstallFailed, error.Code);
        Assert.DoesNotContain(Directory.GetDirectories(_folder), folder => !folder.EndsWith(".making", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("v18.20.1")]
    [InlineData("v9.0.0")]
    [InlineData("not a version")]
    public void NodeVersion_TooOldOrUnknown_IsRefused(string answer) =>
        Assert.Equal(ErrorCodes.NodeTooOld, Assert.Throws<ShardCloudException>(() => AzuriteInstaller.CheckNodeVersion(answer)).Code);

    [Theory]
    [InlineData("v20.20.2")]
    [InlineData("v100.0.0")]
    public void NodeVersion_RecentEnough_IsAccepted(string answer) => AzuriteInstaller.CheckNodeVersion(answer);

    /// <summary>A host in the lock file would tie every user to one registry.</summary>
    [Fact]
    public void LockFile_NamesNoRegistryAndPinsTheVersion()
    {
        Assert.DoesNotContain("\"resolved\"", AzuriteInstaller.LockFile);
        Assert.Contains($"\"azurite\": \"{AzuriteInstaller.Version}\"", AzuriteInstaller.LockFile);
    }
}
