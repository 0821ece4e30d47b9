using System.Text.Json;
using System.Text.Json.Nodes;
using StoragePlugins.Host.Tests.Plugins;

namespace StoragePlugins.Host.Tests.Commands;

/// <summary>The built sphost of the shippable tree, as users run it.</summary>
public sealed class PluginsCommandTests
{
    [Fact]
    public void List_shows_the_shipped_strategies_and_says_which_is_unsafe()
    {
        CommandResult result = Command.Sphost("plugins", "list");
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.Matches(@"(?m)^format +qcow2 +Qcow2 1\.0\.0 ", result.Output);
        Assert.Matches(@"(?m)^ordering +none +Fsync 1\.0\.0 +UNSAFE: ", result.Output);
        Assert.Matches(@"(?m)^medium +file +sphost ", result.Output);
        Assert.DoesNotContain('\x1b', result.Output);
    }

    [Fact]
    public void List_shows_rejected_plugins_and_still_succeeds()
    {
        using Fixture fixture = Fixture.With("Toy", "WrongMajor");
        CommandResult result = Command.Sphost("plugins", "list", "--plugins", fixture.Root);
        Assert.Equal(0, result.ExitCode);
        Assert.Matches(@"(?m)^Plain +rejected ", result.Output);
        Assert.Contains("sphost: warning SP1007: ", result.Error, StringComparison.Ordinal);

        JsonNode json = JsonNode.Parse(Command.Sphost("--plugins", fixture.Root, "plugins", "list", "--json").Output)!;
        Assert.Contains(json["strategies"]!.AsArray(), strategy => (string)strategy!["id"]! == "toy-none" && strategy["unsafe"] is not null);
        JsonNode rejected = Assert.Single(json["plugins"]!.AsArray(), plugin => (string)plugin!["state"]! == "rejected")!;
        Assert.Equal("SP1007", (string)rejected["findings"]![0]!["code"]!);
    }

    [Fact]
    public void Plugins_are_found_through_every_part_of_the_search_path()
    {
        using Fixture first = Fixture.With("Toy"), second = Fixture.With("LibraryOne"), third = Fixture.With("LibraryTwo");
        string config = first.Write("config.json", JsonSerializer.SerializeToUtf8Bytes(new { pluginDirectories = new[] { third.Root } }));
        var environment = new Dictionary<string, string> { ["STORAGEPLUGINS_PATH"] = $"{second.Root}:{first.Root}" };
        CommandResult result = Command.Run(
            Path.Combine(Fixture.Metadata("DistDir"), "sphost"), environment, "plugins", "list", "--plugins", first.Root, "--config", config, "--json");
        JsonArray searched = JsonNode.Parse(result.Output)!["searchPath"]!.AsArray();
        Assert.Equal([first.Root, third.Root, second.Root], searched.Skip(1).Select(directory => (string)directory!["path"]!));
        Assert.Contains("library-one", result.Output, StringComparison.Ordinal);
        Assert.Contains("library-two", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Show_tells_versions_dependencies_hash_context_and_options()
    {
        using Fixture fixture = Fixture.With("Toy", "LibraryOne");
        CommandResult text = Command.Sphost("plugins", "show", "toy-slow", "--plugins", fixture.Root);
        Assert.Equal(0, text.ExitCode);
        Assert.Matches(@"(?m)^  flushDelay +1ms +0 to 10s +How long a flush takes\.$", text.Output);
        Assert.Matches(@"(?m)^  rate +1M +512 to 1G +Bytes a second\.$", text.Output);
        Assert.Matches(@"(?m)^  mode +write-back +write-back, write-through", text.Output);

        JsonNode toy = JsonNode.Parse(Command.Sphost("plugins", "show", "Toy", "--json", "--plugins", fixture.Root).Output)!;
        JsonNode format = toy["strategies"]!.AsArray().First(strategy => (string)strategy!["kind"]! == "format")!;
        Assert.Contains("IBlockFormat", format["implements"]!.AsArray().Select(name => (string)name!));
        Assert.Contains("any number of threads", (string)format["threads"]!, StringComparison.Ordinal);
        Assert.Equal(("1.0.0", "1.0", "plugin Toy"), ((string)toy["version"]!, (string)toy["contracts"]!, (string)toy["loadContext"]!));
        Assert.Contains(fixture.Root, (string)toy["origin"]!, StringComparison.Ordinal);
        string hash = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(Path.Combine(fixture.Root, "Toy", "Toy.dll"))));
        Assert.Equal(hash, (string)toy["sha256"]!);

        JsonNode library = JsonNode.Parse(Command.Sphost("plugins", "show", "library-one", "--json", "--plugins", fixture.Root).Output)!;
        Assert.Equal("ThirdParty 0.0.0.0", (string)Assert.Single(library["privateDependencies"]!.AsArray())!);
        Assert.Contains("StoragePlugins.Contracts 1.0.0.0", library["sharedDependencies"]!.AsArray().Select(name => (string)name!));
    }

    [Fact]
    public void Show_of_a_plugin_that_fails_says_why_once()
    {
        using Fixture fixture = Fixture.With("MissingType");
        CommandResult result = Command.Sphost("plugins", "show", "missing-type", "--plugins", fixture.Root);
        Assert.Single(result.Output.Split('\n'), line => line.StartsWith("error SP1017: ", StringComparison.Ordinal));
        Assert.Matches(@"(?m)^state: +faulted$", result.Output);
    }

    [Fact]
    public void Show_of_an_unknown_id_guesses()
    {
        CommandResult result = Command.Sphost("plugins", "show", "qcow");
        Assert.Equal(1, result.ExitCode);
        Assert.StartsWith("sphost: error SP2007: there is no strategy or plugin 'qcow'; did you mean 'qcow2'?", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Check_answers_without_running_the_plugins_code()
    {
        using Fixture fixture = Fixture.With("RunsAtLoad", "NewerMinor");
        CommandResult good = Command.Sphost("plugins", "check", Path.Combine(fixture.Root, "RunsAtLoad"));
        Assert.Equal((0, ""), (good.ExitCode, good.Error));
        Assert.Contains("would be loaded", good.Output, StringComparison.Ordinal);

        CommandResult bad = Command.Sphost("plugins", "check", Path.Combine(fixture.Root, "NewerMinor", "NewerMinor.dll"));
        Assert.Equal(1, bad.ExitCode);
        Assert.Contains("error SP1008: ", bad.Error, StringComparison.Ordinal);
        CommandResult json = Command.Sphost("plugins", "check", Path.Combine(fixture.Root, "NewerMinor"), "--json");
        Assert.Equal(1, json.ExitCode);
        Assert.False((bool)JsonNode.Parse(json.Output)!["usable"]!);

        Assert.Equal(1, Command.Sphost("plugins", "check", "/nonexistent").ExitCode);
    }
}
