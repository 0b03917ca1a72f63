using System.Text.Json;
using ShardCloud.Crdt;

namespace ShardCloud.ShardRuntime.Sidecar.StateApi;

/// <summary>What can be done to a field.</summary>
/// <param name="Name">Last segment of its path.</param>
/// <param name="Members">Members of its JSON body.</param>
/// <param name="Run">Does it; false: nothing was changed.</param>
internal sealed record FieldOperation(string Name, string[] Members, Func<FieldPlace, OperationArguments, bool> Run);

/// <summary>A type of field, as the state API has it.</summary>
/// <param name="Name">Second segment of its path.</param>
/// <param name="Kind">The type.</param>
/// <param name="HasOneValue">An operation's answer shows the content too; of collections it would be long.</param>
/// <param name="WriteContent">Writes the members that hold what is in the field of a name; nothing for a register that was never set.</param>
/// <param name="Operations">What can be done.</param>
internal sealed record FieldType(string Name, FieldKind Kind, bool HasOneValue, Action<Utf8JsonWriter, OrMap, string> WriteContent, params FieldOperation[] Operations)
{
    public void Write(Utf8JsonWriter json, OrMap fields, string name)
    {
        json.WriteString("type", Name);
        WriteContent(json, fields, name);
    }
}

/// <summary>All of them: those of docs/state.md, with the operations that fit a call. This table is the API; the OpenAPI document is held to it by a test.</summary>
internal static class FieldTypes
{
    public static readonly IReadOnlyList<FieldType> All =
    [
        new("counter", FieldKind.Counter, true, (json, fields, name) => json.WriteNumber("value", fields.Counter(name)),
            Does("add", ["amount"], (at, with) => at.Counter.Add(with.Int64("amount", 1)))),
        new("grow-counter", FieldKind.GrowCounter, true, (json, fields, name) => json.WriteNumber("value", fields.GrowCounter(name)),
            Does("add", ["amount"], (at, with) => at.GrowCounter.Add(with.Int64("amount", 1)))),
        new("bounded-counter", FieldKind.BoundedCounter, true, (json, fields, name) => json.WriteNumber("value", fields.BoundedCounter(name)),
            new FieldOperation("add", ["amount", "floor", "ceiling"], (at, with) => at.BoundedCounter(with.Int64("floor", 0), with.Int64("ceiling", long.MaxValue)).TryAdd(with.Int64("amount", 1)))),
        new("set", FieldKind.Set, false, (json, fields, name) => JsonValues.WriteAll(json, "items", fields.Set(name).Items),
            new FieldOperation("add", ["item"], (at, with) => Adds(at.Set, with.Value("item"))),
            new FieldOperation("remove", ["item"], (at, with) => at.Set.Remove(with.Value("item"))),
            Does("clear", [], (at, _) => at.Set.Clear())),
        new("remove-wins-set", FieldKind.RemoveWinsSet, false, (json, fields, name) => JsonValues.WriteAll(json, "items", fields.RemoveWinsSet(name).Items),
            new FieldOperation("add", ["item"], (at, with) => Adds(at.RemoveWinsSet, with.Value("item"))),
            new FieldOperation("remove", ["item"], (at, with) => at.RemoveWinsSet.Remove(with.Value("item"))),
            Does("clear", [], (at, _) => at.RemoveWinsSet.Clear())),
        new("register", FieldKind.Register, true, (json, fields, name) => WriteRegister(json, fields.Register(name)),
            Does("set", ["value"], (at, with) => at.Register.Set(with.Value("value"))),
            Does("clear", [], (at, _) => at.Register.Clear())),
        new("multi-value-register", FieldKind.MultiValueRegister, false, (json, fields, name) => JsonValues.WriteAll(json, "values", fields.MultiValueRegister(name)),
            Does("set", ["value"], (at, with) => at.MultiValueRegister.Set(with.Value("value"))),
            Does("clear", [], (at, _) => at.MultiValueRegister.Clear())),
        new("flag", FieldKind.Flag, true, (json, fields, name) => json.WriteBoolean("value", fields.Flag(name)),
            Does("enable", [], (at, _) => at.Flag.Enable()),
            Does("disable", [], (at, _) => at.Flag.Disable())),
        new("disable-wins-flag", FieldKind.DisableWinsFlag, true, (json, fields, name) => json.WriteBoolean("value", fields.DisableWinsFlag(name)),
            Does("enable", [], (at, _) => at.DisableWinsFlag.Enable()),
            Does("disable", [], (at, _) => at.DisableWinsFlag.Disable())),
        new("list", FieldKind.List, false, (json, fields, name) => JsonValues.WriteAll(json, "items", fields.List(name).Items),
            Does("append", ["item"], (at, with) => at.List.Append(with.Value("item"))),
            new FieldOperation("trim", ["count"], (at, with) => at.List.TrimTo(checked((int)with.Int64("count", 0))) > 0),
            Does("clear", [], (at, _) => at.List.Clear())),
        new("expiring-map", FieldKind.ExpiringMap, false, (json, fields, name) => WriteEntries(json, fields.ExpiringMap(name)),
            Does("set", ["key", "value", "deadline"], (at, with) => at.ExpiringMap.Set(with.Value("key"), with.Value("value"), with.Time("deadline"))),
            new FieldOperation("remove", ["key"], (at, with) => at.ExpiringMap.Remove(with.Value("key"))),
            new FieldOperation("remove-expired", ["now"], (at, with) => at.ExpiringMap.RemoveExpired(with.Time("now", with.Now)) > 0),
            Does("clear", [], (at, _) => at.ExpiringMap.Clear())),
        new("map", FieldKind.Map, false, (json, fields, name) => WriteMap(json, fields.Map(name)),
            new FieldOperation("remove", ["key"], (at, with) => at.Map.Remove(with.Text("key")))),
    ];

    public static FieldType? Find(string name) => All.FirstOrDefault(type => type.Name == name);

    /// <summary>Members of a JSON object, one for each field; one of a type that this version does not know is left out.</summary>
    public static void WriteFields(Utf8JsonWriter json, OrMap fields, Func<string, bool> picks)
    {
        foreach (var name in fields.Keys.Where(picks))
        {
            if (All.FirstOrDefault(type => type.Kind == fields.KindOf(name)) is not { } type) continue;
            json.WriteStartObject(name);
            type.Write(json, fields, name);
            json.WriteEndObject();
        }
    }

    /// <summary>An operation that always changes something, or need not tell.</summary>
    private static FieldOperation Does(string name, string[] members, Action<FieldPlace, OperationArguments> run) => new(name, members, (place, arguments) =>
    {
        run(place, arguments);
        return true;
    });

    private static bool Adds(SetHandle set, Value item)
    {
        var isNew = !set.Contains(item);
        set.Add(item);
        return isNew;
    }

    private static bool Adds(RemoveWinsSetHandle set, Value item)
    {
        var isNew = !set.Contains(item);
        set.Add(item);
        return isNew;
    }

    private static void WriteRegister(Utf8JsonWriter json, Value value)
    {
        if (value.IsNone) return;
        json.WritePropertyName("value");
        JsonValues.Write(json, value);
    }

    private static void WriteEntries(Utf8JsonWriter json, ExpiringMap map)
    {
        json.WriteStartArray("entries");
        foreach (var entry in map.Entries)
        {
            json.WriteStartObject();
            json.WritePropertyName("key");
            JsonValues.Write(json, entry.Key);
            json.WritePropertyName("value");
            JsonValues.Write(json, entry.Value);
            json.WriteString("deadline", entry.Deadline);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private static void WriteMap(Utf8JsonWriter json, OrMap map)
    {
        json.WriteStartObject("fields");
        WriteFields(json, map, _ => true);
        json.WriteEndObject();
    }
}
