using System.Buffers.Binary;
using System.Text;

namespace StoragePlugins.EndToEnd.Tests;

/// <summary>A point of a metric.</summary>
/// <param name="Tags">Its attributes.</param>
/// <param name="Value">Its value; of a histogram the number of measurements.</param>
/// <param name="Sum">Of a histogram, the sum of its measurements.</param>
/// <param name="Buckets">Of a histogram, measurements by bucket.</param>
/// <param name="Bounds">Of a histogram, the buckets' upper bounds.</param>
internal sealed record OtlpPoint(IReadOnlyDictionary<string, string> Tags, double Value, double Sum, IReadOnlyList<ulong> Buckets, IReadOnlyList<double> Bounds);

/// <summary>A metric.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Unit">Its unit.</param>
/// <param name="Kind">gauge, sum or histogram.</param>
/// <param name="IsMonotonic">Of a sum.</param>
/// <param name="IsCumulative">Of a sum or histogram.</param>
/// <param name="Points">One for each set of tags.</param>
internal sealed record OtlpMetric(string Name, string Unit, string Kind, bool IsMonotonic, bool IsCumulative, IReadOnlyList<OtlpPoint> Points);

/// <summary>An ExportMetricsServiceRequest: the fields that the tests look at, decoded from the protobuf by their numbers in opentelemetry-proto (metrics/v1/metrics.proto).</summary>
internal sealed record OtlpMetrics(IReadOnlyDictionary<string, string> Resource, string Scope, IReadOnlyList<OtlpMetric> Metrics)
{
    private const int Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5;

    /// <summary>The metric of this name.</summary>
    public OtlpMetric this[string name] => Metrics.Single(metric => metric.Name == name);

    /// <summary>Decodes a request with one resource and one scope.</summary>
    public static OtlpMetrics Decode(ReadOnlySpan<byte> request)
    {
        List<Field> resourceMetrics = Fields(Only(Fields(request), 1));
        Dictionary<string, string> resource = Attributes(Fields(Only(resourceMetrics, 1)), 1);
        List<Field> scopeMetrics = Fields(Only(resourceMetrics, 2));
        string scope = Text(Fields(Only(scopeMetrics, 1)), 1);
        return new OtlpMetrics(resource, scope, [.. scopeMetrics.Where(field => field.Number == 2).Select(field => Metric(Fields(field.Content)))]);
    }

    private static OtlpMetric Metric(List<Field> metric)
    {
        (string kind, int number, int tags) = metric.Any(field => field.Number == 5) ? ("gauge", 5, 7) : metric.Any(field => field.Number == 7) ? ("sum", 7, 7) : ("histogram", 9, 9);
        List<Field> data = Fields(Only(metric, number));
        bool isCumulative = data.Any(field => field is { Number: 2, Value: 2 });
        bool isMonotonic = data.Any(field => field is { Number: 3, Value: 1 });
        return new OtlpMetric(Text(metric, 1), Text(metric, 3), kind, isMonotonic, isCumulative, [.. data.Where(field => field.Number == 1).Select(field => Point(Fields(field.Content), tags))]);
    }

    private static OtlpPoint Point(List<Field> point, int tags)
    {
        bool isHistogram = tags == 9;
        ulong Number(int number) => point.FirstOrDefault(field => field.Number == number)?.Value ?? 0;
        double Real(int number) => BitConverter.UInt64BitsToDouble(Number(number));
        double value = isHistogram || point.Any(field => field.Number == 6) ? (long)Number(isHistogram ? 4 : 6) : Real(4);
        return new OtlpPoint(
            Attributes(point, tags), value, isHistogram ? Real(5) : 0, isHistogram ? Packed(point, 6) : [], isHistogram ? [.. Packed(point, 7).Select(BitConverter.UInt64BitsToDouble)] : []);
    }

    // Fixed 64-bit numbers, in one field or in many.
    private static List<ulong> Packed(List<Field> fields, int number)
    {
        var values = new List<ulong>();
        foreach (Field field in fields.Where(field => field.Number == number))
        {
            if (field.Content.Length == 0) values.Add(field.Value);
            for (int at = 0; at < field.Content.Length; at += sizeof(ulong)) values.Add(BinaryPrimitives.ReadUInt64LittleEndian(field.Content.AsSpan(at)));
        }

        return values;
    }

    private static Dictionary<string, string> Attributes(List<Field> fields, int number) =>
        fields.Where(field => field.Number == number).Select(field => Fields(field.Content)).ToDictionary(pair => Text(pair, 1), pair => Text(Fields(Only(pair, 2)), 1));

    private static string Text(List<Field> fields, int number) => fields.Any(field => field.Number == number) ? Encoding.UTF8.GetString(Only(fields, number)) : "";

    private static byte[] Only(List<Field> fields, int number) => fields.Single(field => field.Number == number).Content;

    private static List<Field> Fields(ReadOnlySpan<byte> message)
    {
        var fields = new List<Field>();
        while (message.Length > 0)
        {
            ulong key = TakeVarint(ref message);
            int number = (int)(key >> 3);
            switch ((int)(key & 7))
            {
                case Varint:
                    fields.Add(new Field(number, TakeVarint(ref message), []));
                    break;
                case Fixed64:
                    fields.Add(new Field(number, BinaryPrimitives.ReadUInt64LittleEndian(message), []));
                    message = message[sizeof(ulong)..];
                    break;
                case Bytes:
                    int length = (int)TakeVarint(ref message);
                    fields.Add(new Field(number, 0, message[..length].ToArray()));
                    message = message[length..];
                    break;
                case Fixed32:
                    message = message[sizeof(uint)..];
                    break;
                default:
                    throw new FormatException($"a field of wire type {key & 7}");
            }
        }

        return fields;
    }

    private static ulong TakeVarint(ref ReadOnlySpan<byte> message)
    {
        ulong value = 0;
        for (int shift = 0; ; shift += 7)
        {
            byte next = message[0];
            message = message[1..];
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80) return value;
        }
    }

    private sealed record Field(int Number, ulong Value, byte[] Content);
}
