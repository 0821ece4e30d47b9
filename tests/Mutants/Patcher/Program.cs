using StoragePlugins.Mutants;

// MutantPatcher ROOT TABLE OUTPUT SOURCES…: copies sources and builds the table's mutants into the copies. Files that stay the same are not touched.
string root = args[0], output = args[2];
ILookup<string, MutantEntry> mutants = MutantTable.Read(args[1]).ToLookup(entry => entry.File);
var seen = new HashSet<string>();
foreach (string source in args[3..].SelectMany(folder => Directory.EnumerateFiles(Path.Combine(root, folder), "*.cs", SearchOption.AllDirectories)))
{
    string name = Path.GetRelativePath(root, source);
    string target = Path.Combine(output, name);
    seen.Add(name);
    string text = File.ReadAllText(source);
    try
    {
        text = MutantTable.Patch(text, mutants[name]);
    }
    catch (FormatException problem)
    {
        Console.Error.WriteLine($"{args[1]}: error MUTANT: {problem.Message}");
        return 1;
    }

    if (File.Exists(target) && File.ReadAllText(target) == text) continue;
    Directory.CreateDirectory(Path.GetDirectoryName(target)!);
    File.WriteAllText(target, text);
}

foreach (string file in mutants.Select(group => group.Key).Where(file => !seen.Contains(file)))
{
    Console.Error.WriteLine($"{args[1]}: error MUTANT: there is no source {file}");
    return 1;
}

if (Directory.Exists(output))
{
    foreach (string stale in Directory.EnumerateFiles(output, "*.cs", SearchOption.AllDirectories).Where(file => !seen.Contains(Path.GetRelativePath(output, file)))) File.Delete(stale);
}

return 0;
