using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;

namespace ShardCloud.LocalCloud.Tests.EventHubs;

/// <summary>Speaks the protocol by hand, to say what a well-behaved client would not.</summary>
internal sealed class WireClient(int port) : IDisposable
{
    private readonly TcpClient _client = new("127.0.0.1", port) { NoDelay = true };
    private int _correlation;

    public NetworkStream Stream => _client.GetStream();

    /// <summary>Sends a request and reads its answer, from behind the correlation id.</summary>
    public async Task<Answer> AskAsync(short key, short version, Action<Request> body)
    {
        await SendAsync(key, version, body);
        return await ReceiveAsync();
    }

    public async Task SendAsync(short key, short version, Action<Request> body)
    {
        var request = new Request().Int16(key).Int16(version).Int32(++_correlation).Text("wire");
        body(request);
        await Stream.WriteAsync(new Request().Int32(request.Bytes.Length).Raw(request.Bytes).Bytes);
    }

    public async Task<Answer> ReceiveAsync()
    {
        using var deadline = new CancellationTokenSource(HubFixture.Deadline);
        var prefix = new byte[4];
        await Stream.ReadExactlyAsync(prefix, deadline.Token);
        var frame = new byte[BinaryPrimitives.ReadInt32BigEndian(prefix)];
        await Stream.ReadExactlyAsync(frame, deadline.Token);
        var answer = new Answer(frame);
        answer.Int32();
        return answer;
    }

    /// <summary>True once the broker has closed the connection; the wait has a deadline.</summary>
    public async Task<bool> IsClosedAsync()
    {
        using var deadline = new CancellationTokenSource(HubFixture.Deadline);
        try
        {
            return await Stream.ReadAsync(new byte[1], deadline.Token) == 0;
        }
        catch (IOException)
        {
            return true; // reset: bytes were still under way
        }
    }

    public async Task<(short Error, long Offset)> ProduceAsync(byte[] batch, int partition = 0)
    {
        var answer = await AskAsync(0, 3, request => request.Text(null).Int16(-1).Int32(1000).Int32(1).Text(HubFixture.Hub).Int32(1).Int32(partition).Int32(batch.Length).Raw(batch));
        answer.Int32();
        answer.Text();
        answer.Int32();
        answer.Int32();
        return (answer.Int16(), answer.Int64());
    }

    public Task SendFetchAsync(long offset, int waitMilliseconds, int bytesMin = 1, int bytesMax = 1 << 20) => SendAsync(1, 4, request => request
        .Int32(-1).Int32(waitMilliseconds).Int32(bytesMin).Int32(bytesMax).Raw([0]).Int32(1).Text(HubFixture.Hub).Int32(1).Int32(0).Int64(offset).Int32(bytesMax));

    public async Task<(short Error, long End, byte[] Batches)> ReceiveFetchAsync()
    {
        var answer = await ReceiveAsync();
        answer.Int32();
        answer.Int32();
        answer.Text();
        answer.Int32();
        answer.Int32();
        var (error, end) = (answer.Int16(), answer.Int64());
        answer.Int64();
        answer.Int32();
        return (error, end, answer.Raw(answer.Int32()));
    }

    public async Task<(short Error, long End, byte[] Batches)> FetchAsync(long offset, int waitMilliseconds = 0, int bytesMax = 1 << 20)
    {
        await SendFetchAsync(offset, waitMilliseconds, bytesMax: bytesMax);
        return await ReceiveFetchAsync();
    }

    public void Dispose() => _client.Dispose();

    internal sealed class Request
    {
        private readonly MemoryStream _bytes = new();

        public byte[] Bytes => _bytes.ToArray();

        public Request Int16(short value) => Write(2, bytes => BinaryPrimitives.WriteInt16BigEndian(bytes, value));

        public Request Int32(int value) => Write(4, bytes => BinaryPrimitives.WriteInt32BigEndian(bytes, value));

        public Request Int64(long value) => Write(8, bytes => BinaryPrimitives.WriteInt64BigEndian(bytes, value));

        public Request Text(string? value) => value is null ? Int16(-1) : Int16((short)value.Length).Raw(Encoding.UTF8.GetBytes(value));

        public Request Raw(byte[] bytes)
        {
            _bytes.Write(bytes);
            return this;
        }

        private Request Write(int count, Action<byte[]> fill)
        {
            var bytes = new byte[count];
            fill(bytes);
            return Raw(bytes);
        }
    }

    internal sealed class Answer(byte[] bytes)
    {
        private int _at;

        public short Int16() => BinaryPrimitives.ReadInt16BigEndian(Raw(2));

        public int Int32() => BinaryPrimitives.ReadInt32BigEndian(Raw(4));

        public long Int64() => BinaryPrimitives.ReadInt64BigEndian(Raw(8));

        public string Text() => Encoding.UTF8.GetString(Raw(Int16()));

        public byte[] Raw(int count) => bytes[_at..(_at += count)];
    }
}
