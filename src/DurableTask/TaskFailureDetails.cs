using Wire = ShardCloud.DurableTask.Protocol;

namespace ShardCloud.DurableTask;

/// <summary>Why an activity, sub-orchestration or orchestration failed: data that travels in histories, not a live exception.</summary>
/// <param name="ErrorType">Full type name of the exception.</param>
/// <param name="ErrorMessage">Its message.</param>
/// <param name="StackTrace">Its stack trace where one was kept.</param>
/// <param name="InnerFailure">What caused it.</param>
/// <param name="IsNonRetriable">True: a retry policy gives up at once.</param>
public sealed record TaskFailureDetails(
    string ErrorType, string ErrorMessage, string? StackTrace = null, TaskFailureDetails? InnerFailure = null, bool IsNonRetriable = false)
{
    /// <summary>Stands for a failure that the host reported without details, for instance an unknown activity name.</summary>
    internal static TaskFailureDetails Unknown { get; } = new(
        "(unknown)", "The host reported a failure without details: is a function of this name deployed, and did its process live?");

    /// <summary>True if this failure (inner ones not looked at) was an exception of this very type.</summary>
    public bool IsCausedBy<T>() where T : Exception => ErrorType == typeof(T).FullName;

    /// <summary>The failure as data, with its chain of causes.</summary>
    public static TaskFailureDetails FromException(Exception exception) => exception switch
    {
        TaskFailedException failed => new(
            typeof(TaskFailedException).FullName!, failed.Message, failed.StackTrace, failed.FailureDetails, failed.FailureDetails.IsNonRetriable),
        _ => new(
            exception.GetType().FullName ?? exception.GetType().Name, exception.Message, exception.StackTrace,
            exception.InnerException is { } inner ? FromException(inner) : null, exception is NonRetriableException),
    };

    internal static TaskFailureDetails FromWire(Wire.TaskFailureDetails? wire) => wire is null
        ? Unknown
        : new(wire.ErrorType, wire.ErrorMessage, wire.StackTrace, wire.InnerFailure is { } inner ? FromWire(inner) : null, wire.IsNonRetriable);

    internal Wire.TaskFailureDetails ToWire() => ToWire(isInner: false);

    private Wire.TaskFailureDetails ToWire(bool isInner) => new()
    {
        // The host takes an inner System.OutOfMemoryException for its own and redelivers the turn for ever: the short name ends the instance instead.
        ErrorType = isInner && ErrorType == "System.OutOfMemoryException" ? "OutOfMemoryException" : ErrorType,
        ErrorMessage = ErrorMessage,
        StackTrace = StackTrace,
        InnerFailure = InnerFailure?.ToWire(isInner: true),
        IsNonRetriable = IsNonRetriable,
    };
}

/// <summary>Thrown in an orchestrator when an activity or sub-orchestration that it awaits has failed for good.</summary>
public sealed class TaskFailedException(TaskName taskName, int taskId, TaskFailureDetails failureDetails)
    : Exception($"Task '{taskName}' (#{taskId}) failed with an unhandled exception: {failureDetails.ErrorMessage}")
{
    /// <summary>The activity or orchestrator that failed.</summary>
    public TaskName TaskName { get; } = taskName;

    /// <summary>The action's id, of the last attempt.</summary>
    public int TaskId { get; } = taskId;

    /// <summary>What the failed side reported.</summary>
    public TaskFailureDetails FailureDetails { get; } = failureDetails;
}

/// <summary>Thrown by an activity (or orchestrator) whose failure no retry can cure: retry policies give up at once.</summary>
public class NonRetriableException(string message, Exception? innerException = null) : Exception(message, innerException);

/// <summary>The code of an orchestrator did not do again what its history says it did. The instance fails.</summary>
public sealed class NonDeterministicOrchestrationException(string message) : InvalidOperationException(message);
