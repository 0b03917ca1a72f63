namespace ShardCloud.Simulation;

/// <summary>An operation as its client saw it.</summary>
/// <param name="Input">What was asked.</param>
/// <param name="Output">What was answered; default when nothing was.</param>
/// <param name="Invoked">When it was asked, by any clock that all operations of a history share.</param>
/// <param name="Returned">When the answer came. Null: never; it may have taken effect at any time after its invocation, or not at all.</param>
internal sealed record Operation<TInput, TOutput>(TInput Input, TOutput? Output, long Invoked, long? Returned);

/// <summary>What an object does when operations come one at a time. An operation without an answer may have had any.</summary>
/// <returns>False when the operation cannot have been answered so in this state.</returns>
internal delegate bool SequentialModel<TState, TInput, TOutput>(TState before, Operation<TInput, TOutput> operation, out TState after);

/// <summary>Is there an order of the operations, each between its invocation and its return, in which a sequential object gives these very answers?</summary>
/// <remarks>
/// Wing and Gong, "Testing and verifying concurrent objects" (1993), with the memory of configurations (what was ordered, and the state after it) of Lowe, "Testing for
/// linearizability" (2017); as in Knossos and Porcupine. Histories of independent objects are to be checked one by one: the whole is linearizable iff each is
/// (Herlihy and Wing 1990). Two short cuts: a read whose answer fits the state loses nothing by coming at once, so nothing else is tried in its place; of
/// unanswered operations with equal inputs only the earliest is tried, for they are interchangeable.
/// </remarks>
internal static class Linearizability
{
    /// <param name="history">In any order.</param>
    /// <param name="start">State before all of them.</param>
    /// <param name="model">The object.</param>
    /// <param name="isRead">Operations that change nothing in any state.</param>
    /// <param name="configurationsMax">Bound of time and memory.</param>
    /// <exception cref="InvalidOperationException">More configurations than <paramref name="configurationsMax"/>: nothing was found out.</exception>
    public static bool Holds<TState, TInput, TOutput>(
        IEnumerable<Operation<TInput, TOutput>> history, TState start, SequentialModel<TState, TInput, TOutput> model, Predicate<TInput> isRead, int configurationsMax = 2_000_000)
    {
        var operations = history.OrderBy(operation => operation.Invoked).ToArray();
        var events = new EventList(operations.Select(operation => (operation.Invoked, operation.Returned)).ToArray());
        var earlierEqual = EarlierEqual(operations);
        var (ordered, state, open) = (new bool[operations.Length], start, operations.Count(operation => operation.Returned is not null));
        var known = new HashSet<Configuration<TState>>();
        var path = new Stack<(int Operation, TState Before, bool IsForced)>();

        for (var at = events.First; open > 0;)
        {
            if (events.CallAt(at) is { } call)
            {
                var (isAnswered, reads) = (operations[call].Returned is not null, isRead(operations[call].Input));
                var isTried = (earlierEqual[call] is { } earlier && !ordered[earlier]) || (reads && !isAnswered);
                if (isTried || !model(state, operations[call], out var after) || !known.Add(Configuration<TState>.Of(ordered, call, after)))
                {
                    at = events.Next(at);
                    continue;
                }
                if (known.Count > configurationsMax) throw new InvalidOperationException($"More than {configurationsMax} configurations for {operations.Length} operations.");
                path.Push((call, state, IsForced: reads));
                (ordered[call], state) = (true, after);
                if (isAnswered) open--;
                events.Lift(call);
                at = events.First;
            }
            else
            {
                // Somebody has his answer, and every operation that may have come before it was tried: the last choice was wrong.
                (int Operation, TState Before, bool IsForced) last;
                do
                {
                    if (!path.TryPop(out last)) return false;
                    (ordered[last.Operation], state) = (false, last.Before);
                    if (operations[last.Operation].Returned is not null) open++;
                    at = events.Next(events.PutBack(last.Operation));
                }
                while (last.IsForced);
            }
        }
        return true;
    }

    private static int?[] EarlierEqual<TInput, TOutput>(Operation<TInput, TOutput>[] operations)
    {
        var earlier = new int?[operations.Length];
        for (var i = 0; i < operations.Length; i++)
            for (var j = i - 1; j >= 0 && earlier[i] is null && operations[i].Returned is null; j--)
                if (operations[j].Returned is null && Equals(operations[j].Input, operations[i].Input)) earlier[i] = j;
        return earlier;
    }

    /// <summary>Calls and returns in order of time, at equal times calls first; an operation's two events are taken out and put back in the reverse order.</summary>
    private sealed class EventList
    {
        private readonly int[] _next, _previous, _callOf;
        private readonly int[] _call, _return;

        public EventList((long Invoked, long? Returned)[] operations)
        {
            var events = operations.SelectMany((operation, index) => operation.Returned is { } returned
                    ? [(operation.Invoked, IsReturn: false, index), (returned, true, index)]
                    : new[] { (Time: operation.Invoked, IsReturn: false, Operation: index) })
                .OrderBy(e => e.Item1).ThenBy(e => e.Item2).ToArray();
            (_next, _previous, _callOf) = (new int[events.Length + 2], new int[events.Length + 2], new int[events.Length + 2]);
            (_call, _return) = (new int[operations.Length], new int[operations.Length]);
            Array.Fill(_callOf, -1);
            for (var at = 0; at < _next.Length; at++) (_next[at], _previous[at]) = (at + 1, at - 1);
            for (var i = 0; i < events.Length; i++)
            {
                var (_, isReturn, operation) = events[i];
                (isReturn ? _return : _call)[operation] = i + 1;
                if (!isReturn) _callOf[i + 1] = operation;
            }
        }

        public int First => _next[0];

        public int Next(int at) => _next[at];

        /// <summary>The operation whose call stands there; null for a return.</summary>
        public int? CallAt(int at) => _callOf[at] is >= 0 and var call ? call : null;

        public void Lift(int operation)
        {
            TakeOut(_call[operation]);
            if (_return[operation] > 0) TakeOut(_return[operation]);
        }

        /// <returns>Where its call stands again.</returns>
        public int PutBack(int operation)
        {
            if (_return[operation] > 0) PutIn(_return[operation]);
            PutIn(_call[operation]);
            return _call[operation];
        }

        private void TakeOut(int at) => (_next[_previous[at]], _previous[_next[at]]) = (_next[at], _previous[at]);

        private void PutIn(int at) => (_next[_previous[at]], _previous[_next[at]]) = (at, at);
    }

    /// <summary>Which operations were ordered, and the state after them.</summary>
    private readonly record struct Configuration<TState>(string Ordered, TState State)
    {
        public static Configuration<TState> Of(bool[] ordered, int last, TState state) => new(string.Create((ordered.Length / 16) + 1, (ordered, last), static (bits, given) =>
        {
            bits.Clear();
            for (var i = 0; i < given.ordered.Length; i++)
                if (given.ordered[i] || i == given.last) bits[i / 16] |= (char)(1 << (i % 16));
        }), state);
    }
}

/// <summary>A counter whose increment answers the count after it. Input true: an increment; false: a read.</summary>
internal static class CounterModel
{
    public static bool Holds(IReadOnlyCollection<Operation<bool, long>> history)
    {
        // A counter passes each value once: where an increment was answered with it, no unanswered one can have made it. Without this the search is exponential in those.
        var made = history.Where(operation => operation is { Input: true, Returned: not null }).Select(operation => operation.Output).ToHashSet();
        return Linearizability.Holds(history, 0L, Step, isRead: isIncrement => !isIncrement);

        bool Step(long before, Operation<bool, long> operation, out long after)
        {
            after = operation.Input ? before + 1 : before;
            return operation.Returned is null ? !made.Contains(after) : operation.Output == after;
        }
    }
}
