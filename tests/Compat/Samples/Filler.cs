using System.Reflection;
using System.Text.Json;

namespace ShardCloud.Compat.Tests.Samples;

/// <summary>Makes a value of any wire record in which no member has its default, so that one that is lost shows.</summary>
internal sealed class Filler
{
    private int _next;

    public object Make(Type type, string name = "value")
    {
        _next++;
        if (Nullable.GetUnderlyingType(type) is { } inner) return Make(inner, name);
        if (type == typeof(string)) return $"{char.ToLowerInvariant(name[0])}{name[1..]}-{_next}";
        if (type == typeof(bool)) return true;
        if (type == typeof(int)) return _next;
        if (type == typeof(long)) return (long)_next;
        if (type == typeof(double)) return _next + 0.5;
        if (type == typeof(byte[])) return new byte[] { 1, (byte)_next };
        if (type == typeof(DateTimeOffset)) return new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero).AddSeconds(_next);
        if (type == typeof(JsonElement)) return JsonSerializer.SerializeToElement(_next);
        if (type.IsEnum) return Enum.GetValues(type).GetValue(Enum.GetValues(type).Length - 1)!;
        if (type.IsGenericType && type.GetGenericArguments() is [var item] && type.IsAssignableFrom(item.MakeArrayType()))
        {
            var list = Array.CreateInstance(item, 1);
            list.SetValue(Make(item, name), 0);
            return list;
        }
        if (type.IsGenericType && type.GetGenericArguments() is [var key, var value] && type.IsAssignableFrom(typeof(Dictionary<,>).MakeGenericType(key, value)))
        {
            var made = (System.Collections.IDictionary)Activator.CreateInstance(typeof(Dictionary<,>).MakeGenericType(key, value))!;
            made.Add(Make(key, name), Make(value, name));
            return made;
        }
        return Record(type);
    }

    private object Record(Type type)
    {
        var constructor = type.GetConstructors().OrderByDescending(c => c.GetParameters().Length).First();
        var made = constructor.Invoke([.. constructor.GetParameters().Select(parameter => Make(parameter.ParameterType, parameter.Name!))]);
        var given = constructor.GetParameters().Select(parameter => parameter.Name!).ToHashSet(StringComparer.OrdinalIgnoreCase);
        foreach (var property in type.GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(property => property.SetMethod is not null && !given.Contains(property.Name)))
            property.SetValue(made, Make(property.PropertyType, property.Name));
        return made;
    }
}
