using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using StoragePlugins.GuestBarrierBench;

var sphost = new Option<string>("--sphost") { Description = "The shippable executable.", DefaultValueFactory = _ => "artifacts/dist/sphost" };
var directory = new Option<string>("--directory") { Description = "Where images are made: on the disk that is to be measured.", DefaultValueFactory = _ => Path.GetTempPath() };
var rounds = new Option<int>("--rounds") { Description = "Times that everything is measured, in turn.", DefaultValueFactory = _ => 5 };
var operations = new Option<int>("--operations") { Description = "Writes of 64 KiB in each measurement.", DefaultValueFactory = _ => 512 };
var flushEvery = new Option<int>("--flush-every") { Description = "Writes between two flushes, where not each is flushed.", DefaultValueFactory = _ => 64 };
var only = new Option<string[]>("--only") { Description = "Contenders or devices whose names hold this text." };
var json = new Option<bool>("--json") { Description = "Print every round as JSON." };
var root = new RootCommand("Appends of 64 KiB through NBD: a barrier after each write against a flush after each.") { sphost, directory, rounds, operations, flushEvery, only, json };
root.SetAction(line =>
{
    string folder = Directory.CreateDirectory(Path.Combine(line.GetValue(directory)!, $"gb-{Environment.ProcessId}")).FullName;
    try
    {
        string[] names = line.GetValue(only) ?? [];
        IEnumerable<Contender> contenders = Contender.All.Where(one => names.Length == 0 || names.Any(name => one.Name.Contains(name, StringComparison.Ordinal) || one.Device.Contains(name, StringComparison.Ordinal)));
        Cell[] cells = [.. from contender in contenders from mode in Mode.All(line.GetValue(flushEvery)) select new Cell(contender, mode)];
        string program = Path.GetFullPath(line.GetValue(sphost)!);
        // The first round is for the caches.
        for (int round = 0; round <= line.GetValue(rounds); round++)
        {
            // In turn, and each round from another place: the machine's moods meet all alike.
            for (int i = 0; i < cells.Length; i++)
            {
                Cell cell = cells[(i + (round * 7)) % cells.Length];
                cell.Measure(program, folder, line.GetValue(operations));
                if (round == 0) cell.Forget();
                Console.Error.Write($"\rround {round} of {line.GetValue(rounds)}, {i + 1} of {cells.Length}  ");
            }
        }

        Console.Error.WriteLine();
        if (line.GetValue(json)) Console.WriteLine(JsonSerializer.Serialize(cells.Select(cell => new { cell.Contender.Device, cell.Contender.Name, Mode = cell.Mode.Name, cell.Rounds })));
        else Print(cells);
        return 0;
    }
    finally
    {
        Directory.Delete(folder, recursive: true);
    }
});
return root.Parse(args).Invoke();

static void Print(Cell[] cells)
{
    Console.WriteLine("| device | pipeline | mode | writes/s | of flush each | median µs | p99 µs | host flushes a write | barriers a write |");
    Console.WriteLine("|---|---|---|---|---|---|---|---|---|");
    foreach (Cell cell in cells)
    {
        Cell flushed = cells.First(other => other.Contender == cell.Contender && other.Mode == Mode.FlushEach);
        // Each round against its own: both met the same machine.
        double ratio = Median(cell.Rounds.Zip(flushed.Rounds, (mine, its) => mine.Rate / its.Rate));
        double[] rates = [.. cell.Rounds.Select(round => round.Rate).Order()];
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"| {cell.Contender.Device} | {cell.Contender.Name} | {cell.Mode.Name} | {Median(rates):n0} [{rates[0]:n0}–{rates[^1]:n0}] | {ratio:0.00}× | {Median(cell.Rounds.Select(r => r.Median)):n0} | {Median(cell.Rounds.Select(r => r.P99)):n0} | {Median(cell.Rounds.Select(r => r.HostFlushes)):0.00} | {Median(cell.Rounds.Select(r => r.Barriers)):0.00} |"));
    }
}

static double Median(IEnumerable<double> values)
{
    double[] sorted = [.. values.Order()];
    return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
}
