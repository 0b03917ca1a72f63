namespace ShardCloud.DurableTask;

/// <summary>Name of an orchestrator or an activity: the folder name of its function. Names match without regard to case.</summary>
public readonly record struct TaskName(string Name)
{
    /// <summary>A plain string is a name.</summary>
    public static implicit operator TaskName(string name) => new(name);

    /// <summary>A name is a plain string.</summary>
    public static implicit operator string(TaskName name) => name.Name;

    /// <inheritdoc/>
    public override string ToString() => Name;

    /// <summary>The name of a class: <see cref="DurableTaskAttribute"/> where it carries one, else the class name.</summary>
    internal static TaskName Of(Type type) =>
        (Attribute.GetCustomAttribute(type, typeof(DurableTaskAttribute)) as DurableTaskAttribute)?.Name ?? type.Name;
}

/// <summary>Gives an orchestrator or activity class another name than its class name.</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class DurableTaskAttribute(string name) : Attribute
{
    /// <summary>The function's name.</summary>
    public string Name { get; } = name;
}
