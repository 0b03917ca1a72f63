using System.Buffers.Binary;
using System.Net.Sockets;
using ShardCloud.LocalCloud.EventHubs.Log;
using ShardCloud.LocalCloud.EventHubs.Protocol;
using ShardCloud.LocalCloud.EventHubs.Requests;

namespace ShardCloud.LocalCloud.EventHubs;

/// <summary>One client's connection. Requests are handled one at a time, in the order they came, and answered in that order.</summary>
/// <remarks>
/// While a request is handled nothing is read, so a client that sends faster than it is served waits in its own socket. The buffer grows with
/// bytes received, not with lengths announced, up to one request. A client that does not take its answers is dropped after a minute.
/// </remarks>
internal sealed class Connection(Socket socket, HubCatalog hubs, LocalEventHubsOptions options, int port, ThroughputMeter? meter, TimeProvider time)
{
    private const int BufferBytesMin = 16 * 1024, PrefixBytes = 4, HeaderBytesMin = 8;
    private static readonly byte[] EmptyFrame = new byte[PrefixBytes];
    private static readonly TimeSpan SendTimeout = TimeSpan.FromMinutes(1);

    private readonly Authentication _authentication = new(options.Key, options.Tokens, time);
    private byte[] _buffer = WireBuffers.Rent(BufferBytesMin);
    private int _begin, _end;

    /// <summary>Serves until the client leaves.</summary>
    /// <exception cref="MalformedRequestException">The client does not speak the protocol.</exception>
    public async Task RunAsync(CancellationToken stopping)
    {
        try
        {
            using (var patience = new CancellationTokenSource(Authentication.Patience, time))
            using (var entering = CancellationTokenSource.CreateLinkedTokenSource(stopping, patience.Token))
            {
                while (!_authentication.IsDone)
                    if (!await ServeOneAsync(Authentication.FrameBytesMax, entering.Token)) return;
            }

            while (await ServeOneAsync(options.RequestBytesMax, stopping))
            {
            }
        }
        finally
        {
            WireBuffers.Return(_buffer);
        }
    }

    /// <returns>False if the client left or was refused.</returns>
    private async ValueTask<bool> ServeOneAsync(int bytesMax, CancellationToken stopping)
    {
        if (!await FillAsync(PrefixBytes, stopping)) return false;
        var length = BinaryPrimitives.ReadInt32BigEndian(_buffer.AsSpan(_begin));
        if (length < (_authentication.WantsBareResponse ? 0 : HeaderBytesMin) || length > bytesMax) throw new MalformedRequestException($"a request of {length} bytes");
        if (!await FillAsync(PrefixBytes + length, stopping)) return false;
        var frame = new Memory<byte>(_buffer, _begin + PrefixBytes, length);
        _begin += PrefixBytes + length;
        if (_authentication.WantsBareResponse)
        {
            if (_authentication.Take(frame.Span)) await SendAsync(EmptyFrame, stopping);
        }
        else
        {
            using var answer = Answer(frame, out var fetch, out var wanted, out var delay);
            if (fetch is not null) await fetch.HandleAsync(answer, meter, time, stopping);
            if (delay > TimeSpan.Zero) await Task.Delay(delay, time, stopping);
            if (wanted) await SendAsync(answer.Finish(), stopping);
        }

        return !_authentication.IsRefused;
    }

    /// <summary>Handles what needs no wait; a fetch is only parsed.</summary>
    private ResponseWriter Answer(Memory<byte> frame, out FetchRequest? fetch, out bool wanted, out TimeSpan delay)
    {
        var request = new RequestReader(frame.Span);
        var (key, version) = ((ApiKey)request.Int16(), request.Int16());
        var answer = new ResponseWriter(correlation: request.Int32());
        (fetch, wanted, delay) = (null, true, TimeSpan.Zero);
        var locked = options.Key is not null || options.Tokens is not null;
        try
        {
            if (key == ApiKey.ApiVersions)
            {
                // Clients begin with their newest version, whose body is unknown here: they are told the list in the oldest form.
                QuestionRequests.ApiVersions(version == 0 ? KafkaError.None : KafkaError.UnsupportedVersion, locked, answer);
                return answer;
            }

            if (!ApiVersionTable.Knows(key, version, locked)) throw new MalformedRequestException($"request {(short)key} in version {version} is not offered");
            if (!_authentication.Allows(key)) throw new MalformedRequestException($"request {(short)key} before the client has shown a key or token that is still good, or after");
            _ = request.NullableString(); // client id
            switch (key)
            {
                case ApiKey.Produce: wanted = ProduceRequest.Handle(ref request, version, hubs, options, meter, answer, out delay); break;
                case ApiKey.Fetch: fetch = new FetchRequest(ref request, hubs); break;
                case ApiKey.ListOffsets: QuestionRequests.ListOffsets(ref request, hubs, answer); break;
                case ApiKey.Metadata: QuestionRequests.Metadata(ref request, version, hubs, port, answer); break;
                case ApiKey.SaslHandshake: _authentication.Handshake(ref request, version, answer); break;
                case ApiKey.SaslAuthenticate: _authentication.Authenticate(ref request, version, answer); break;
                case ApiKey.FindCoordinator: QuestionRequests.FindCoordinator(ref request, version, port, answer); break;
                default: QuestionRequests.InitProducerId(ref request, answer); break;
            }

            return answer;
        }
        catch
        {
            answer.Dispose();
            throw;
        }
    }

    /// <summary>Receives until the buffer holds that many bytes.</summary>
    /// <returns>False if the client closed before.</returns>
    private async ValueTask<bool> FillAsync(int count, CancellationToken stopping)
    {
        while (_end - _begin < count)
        {
            MakeRoom();
            var received = await socket.ReceiveAsync(_buffer.AsMemory(_end), SocketFlags.None, stopping);
            if (received == 0) return false;
            _end += received;
        }

        return true;
    }

    private void MakeRoom()
    {
        var kept = _end - _begin;
        if (kept == 0 && _buffer.Length > 4 * BufferBytesMin)
        {
            // An idle connection gives back the room of a large request.
            WireBuffers.Return(_buffer);
            _buffer = WireBuffers.Rent(BufferBytesMin);
        }
        else if (kept == _buffer.Length)
        {
            var larger = WireBuffers.Rent(2 * _buffer.Length);
            _buffer.AsSpan(0, kept).CopyTo(larger);
            WireBuffers.Return(_buffer);
            _buffer = larger;
        }
        else if (_begin > 0)
        {
            _buffer.AsSpan(_begin, kept).CopyTo(_buffer);
        }

        (_begin, _end) = (0, kept);
    }

    private async Task<int> InTimeAsync(Task<int> sending)
    {
        try
        {
            return await sending.WaitAsync(SendTimeout, CancellationToken.None);
        }
        catch (TimeoutException)
        {
            socket.Dispose(); // before the buffer goes back to the pool: the send under way must not find another's bytes in it
            throw;
        }
    }

    private async ValueTask SendAsync(ReadOnlyMemory<byte> frame, CancellationToken stopping)
    {
        while (frame.Length > 0)
        {
            var sending = socket.SendAsync(frame, SocketFlags.None, stopping);
            frame = frame[(sending.IsCompletedSuccessfully ? sending.Result : await InTimeAsync(sending.AsTask()))..];
        }
    }
}
