using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Azure;
using Azure.Storage.Queues;
using Azure.Storage.Queues.Models;

namespace ShardCloud.LocalCloud.Functions;

/// <summary>Runs the functions of storage queues.</summary>
/// <param name="caller">Calls them.</param>
/// <param name="settings">Of host.json.</param>
/// <param name="hostStorage">Connection string for functions that name no other.</param>
/// <param name="lease">Time for which a message is hidden while its function runs; renewed at half of it.</param>
/// <param name="time">The host's.</param>
/// <param name="log">The host's.</param>
internal sealed class QueueTriggers(FunctionCaller caller, QueueSettings settings, string hostStorage, TimeSpan lease, TimeProvider time, ILogger log)
{
    /// <param name="functions">All of the app.</param>
    /// <param name="stop">No more messages are taken; what runs is waited for.</param>
    /// <param name="abort">What runs is given up: its messages come again when their lease ends.</param>
    public Task RunAsync(IEnumerable<FunctionDefinition> functions, CancellationToken stop, CancellationToken abort) => Task.WhenAll(
        functions.Where(f => f.Kind == TriggerKind.Queue)
            .Select(f => new QueueListener(f, caller, settings, f.QueueConnection ?? hostStorage, lease, time, log))
            .Select(listener => Task.Run(() => listener.RunAsync(stop, abort), CancellationToken.None)));
}

/// <summary>One function's queue: takes messages in batches, calls the function for each, and deletes a message when its call succeeded.</summary>
/// <remarks>
/// At least once: a host that dies leaves the message hidden until its lease ends. A call that fails shows it again, until its last attempt; then it goes
/// to the poison queue, first stored there and then deleted here. A queue that does not exist is an empty one.
/// </remarks>
internal sealed partial class QueueListener(
    FunctionDefinition function, FunctionCaller caller, QueueSettings settings, string connection, TimeSpan lease, TimeProvider time, ILogger log)
{
    private static readonly TimeSpan PollingMin = TimeSpan.FromMilliseconds(100);

    // The encoding is handled here: a message that is not base64 must still reach the poison queue as it is.
    private readonly QueueClient _queue = new(connection, function.QueueName, new QueueClientOptions { MessageEncoding = QueueMessageEncoding.None });
    private readonly QueueClient _poison = new(connection, function.QueueName + "-poison", new QueueClientOptions { MessageEncoding = QueueMessageEncoding.None });

    public async Task RunAsync(CancellationToken stop, CancellationToken abort)
    {
        var running = new HashSet<Task>();
        var pause = PollingMin;
        try
        {
            while (true)
            {
                running.RemoveWhere(call => call.IsCompleted);
                while (running.Count > settings.Threshold) running.Remove(await Task.WhenAny(running).WaitAsync(stop).ConfigureAwait(false));
                var messages = await ReceiveAsync(abort).ConfigureAwait(false);
                foreach (var message in messages) running.Add(HandleAsync(message, abort));
                stop.ThrowIfCancellationRequested();
                if (messages.Length > 0)
                {
                    pause = PollingMin;
                    continue;
                }

                await Task.Delay(pause, time, stop).ConfigureAwait(false);
                pause = pause * 2 < settings.MaxPollingInterval ? pause * 2 : settings.MaxPollingInterval;
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested || abort.IsCancellationRequested)
        {
            await Task.WhenAll(running).ConfigureAwait(false);
        }
    }

    private async Task<QueueMessage[]> ReceiveAsync(CancellationToken abort)
    {
        try
        {
            return (await _queue.ReceiveMessagesAsync(settings.BatchSize, lease, abort).ConfigureAwait(false)).Value;
        }
        catch (RequestFailedException e)
        {
            if (e.ErrorCode != QueueErrorCode.QueueNotFound) StorageFailed(log, function.Name, e.Message);
            return [];
        }
    }

    private async Task HandleAsync(QueueMessage message, CancellationToken abort)
    {
        await Task.Yield();
        try
        {
            if (message.DequeueCount > settings.MaxDequeueCount || !TryDecode(message.MessageText, out var text))
            {
                await PoisonAsync(message, message.PopReceipt, abort).ConfigureAwait(false);
                return;
            }

            var (answer, receipt) = await CallAsync(message, text, abort).ConfigureAwait(false);
            if (answer.Failure is not { } why)
            {
                await _queue.DeleteMessageAsync(message.MessageId, receipt, abort).ConfigureAwait(false);
                return;
            }

            CallFailed(log, function.Name, message.MessageId, message.DequeueCount, why);
            if (message.DequeueCount >= settings.MaxDequeueCount) await PoisonAsync(message, receipt, abort).ConfigureAwait(false);
            else await _queue.UpdateMessageAsync(message.MessageId, receipt, visibilityTimeout: settings.VisibilityTimeout, cancellationToken: abort).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (abort.IsCancellationRequested)
        {
            // Given up; the message comes again.
        }
        catch (Exception e) when (e is RequestFailedException or ShardCloudException)
        {
            StorageFailed(log, function.Name, e.Message); // the message comes again
        }
    }

    /// <summary>Calls the function while the message stays hidden.</summary>
    /// <returns>The answer, and the receipt that the last renewal gave.</returns>
    private async Task<(HandlerAnswer Answer, string Receipt)> CallAsync(QueueMessage message, string text, CancellationToken abort)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(abort);
        var receipt = message.PopReceipt;
        var renewing = RenewAsync();
        try
        {
            return (await caller.CallAsync(function, Envelope.Literal(text), Metadata(message), abort).ConfigureAwait(false), await EndRenewalAsync().ConfigureAwait(false));
        }
        finally
        {
            await EndRenewalAsync().ConfigureAwait(false);
        }

        async Task RenewAsync()
        {
            while (true)
            {
                await Task.Delay(lease / 2, time, ended.Token).ConfigureAwait(false);
                // Not cut off: the receipt of a renewal that went through is needed to delete the message.
                receipt = (await _queue.UpdateMessageAsync(message.MessageId, receipt, visibilityTimeout: lease, cancellationToken: CancellationToken.None).ConfigureAwait(false)).Value.PopReceipt;
            }
        }

        async Task<string> EndRenewalAsync()
        {
            await ended.CancelAsync().ConfigureAwait(false);
            await ((Task)renewing).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            return receipt;
        }
    }

    private async Task PoisonAsync(QueueMessage message, string receipt, CancellationToken abort)
    {
        Poisoned(log, function.Name, message.MessageId, _poison.Name);
        await _poison.CreateIfNotExistsAsync(cancellationToken: abort).ConfigureAwait(false);
        await _poison.SendMessageAsync(message.MessageText, abort).ConfigureAwait(false);
        await _queue.DeleteMessageAsync(message.MessageId, receipt, abort).ConfigureAwait(false);
    }

    private bool TryDecode(string body, [NotNullWhen(true)] out string? text)
    {
        text = body;
        if (!settings.IsBase64) return true;
        var bytes = new byte[body.Length];
        text = Convert.TryFromBase64String(body, bytes, out var length) ? Encoding.UTF8.GetString(bytes, 0, length) : null;
        return text is not null;
    }

    /// <summary>What the real host tells of a message, in its way of writing: texts as literals, numbers as texts, times as dates.</summary>
    private static JsonObject Metadata(QueueMessage message) => new()
    {
        ["Id"] = Envelope.Literal(message.MessageId),
        ["DequeueCount"] = message.DequeueCount.ToString(CultureInfo.InvariantCulture),
        ["InsertionTime"] = message.InsertedOn,
        ["ExpirationTime"] = message.ExpiresOn,
        ["NextVisibleTime"] = message.NextVisibleOn,
        ["PopReceipt"] = Envelope.Literal(message.PopReceipt),
    };

    [LoggerMessage(50, LogLevel.Error, "Queue function '{Function}' failed on message '{Message}', attempt {Attempt}: {Why}")]
    private static partial void CallFailed(ILogger log, string function, string message, long attempt, string why);

    [LoggerMessage(51, LogLevel.Error, "Message '{Message}' of queue function '{Function}' goes to '{Poison}'.")]
    private static partial void Poisoned(ILogger log, string function, string message, string poison);

    [LoggerMessage(52, LogLevel.Warning, "The queue of function '{Function}' cannot be worked on at the moment: {Why}")]
    private static partial void StorageFailed(ILogger log, string function, string why);
}
