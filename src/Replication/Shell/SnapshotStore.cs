using System.Globalization;
using Azure;
using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Models;
using Azure.Storage.Blobs.Specialized;

namespace ShardCloud.Replication;

/// <summary>Snapshots as Blobs, <c>{application}/{log identity}/p0007</c>: replaced only by a higher offset and only the version that was looked at (TRACES 24).</summary>
internal sealed class SnapshotStore(BlobContainerClient container, string application, string logIdentity)
{
    private const string PositionKey = "position";

    public async Task EnsureCreatedAsync(CancellationToken cancellation) => await container.CreateIfNotExistsAsync(cancellationToken: cancellation).ConfigureAwait(false);

    /// <summary>The newest snapshot; null when there is none.</summary>
    public async Task<PartitionSnapshot?> LoadAsync(int partition, CancellationToken cancellation)
    {
        try
        {
            var stream = await Blob(partition).OpenReadAsync(new BlobOpenReadOptions(allowModifications: false), cancellation).ConfigureAwait(false);
            await using (stream.ConfigureAwait(false)) return await PartitionSnapshot.ReadAsync(stream, cancellation).ConfigureAwait(false);
        }
        catch (RequestFailedException error) when (error.Status == 404)
        {
            return null;
        }
    }

    /// <summary>Writes a snapshot unless the store has one that is as new.</summary>
    /// <returns>True when this one was written; false when another was as new or came first.</returns>
    public async Task<bool> SaveAsync(PartitionSnapshot snapshot, CancellationToken cancellation)
    {
        var blob = Blob(snapshot.Partition);
        var conditions = new BlobRequestConditions { IfNoneMatch = ETag.All };
        try
        {
            var properties = (await blob.GetPropertiesAsync(cancellationToken: cancellation).ConfigureAwait(false)).Value;
            if (properties.Metadata.TryGetValue(PositionKey, out var text) && long.Parse(text, CultureInfo.InvariantCulture) >= snapshot.Position) return false;
            conditions = new BlobRequestConditions { IfMatch = properties.ETag };
        }
        catch (RequestFailedException error) when (error.Status == 404)
        {
            // The first one: only if there is still none.
        }

        var blocks = new BlockStream(blob);
        await using (blocks.ConfigureAwait(false))
        {
            await snapshot.WriteAsync(blocks, cancellation).ConfigureAwait(false);
            await blocks.FlushAsync(cancellation).ConfigureAwait(false);
            try
            {
                // Blocks become the Blob in one step: a reader sees the old snapshot or the new one, never half of it.
                await blob.CommitBlockListAsync(blocks.Ids, new CommitBlockListOptions
                {
                    Conditions = conditions,
                    Metadata = new Dictionary<string, string> { [PositionKey] = snapshot.Position.ToString(CultureInfo.InvariantCulture) },
                }, cancellation).ConfigureAwait(false);
                return true;
            }
            catch (RequestFailedException error) when (error.Status is 409 or 412)
            {
                return false;
            }
        }
    }

    private BlockBlobClient Blob(int partition) => container.GetBlockBlobClient($"{application}/{Uri.EscapeDataString(logIdentity)}/p{partition:D4}");

    /// <summary>Stages what is written to it, 4 MiB a block.</summary>
    private sealed class BlockStream(BlockBlobClient blob) : Stream
    {
        private const int BlockBytes = 4 * 1024 * 1024;
        private readonly string _prefix = Guid.NewGuid().ToString("N"); // Two writers' uncommitted blocks must not meet.
        private readonly MemoryStream _block = new();

        public List<string> Ids { get; } = [];

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            _block.Write(buffer.Span);
            if (_block.Length >= BlockBytes) await FlushAsync(cancellationToken).ConfigureAwait(false);
        }

        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override async Task FlushAsync(CancellationToken cancellationToken)
        {
            if (_block.Length == 0) return;
            var id = Convert.ToBase64String(System.Text.Encoding.ASCII.GetBytes($"{_prefix}{Ids.Count:D6}"));
            _block.Position = 0;
            await blob.StageBlockAsync(id, _block, cancellationToken: cancellationToken).ConfigureAwait(false);
            Ids.Add(id);
            _block.SetLength(0);
        }

        public override void Flush() => throw new NotSupportedException();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => _block.Write(buffer, offset, count);
    }
}
