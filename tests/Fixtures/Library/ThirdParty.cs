namespace ThirdParty;

/// <summary>A library whose two versions have the same name: each plugin must get its own.</summary>
public static class Library
{
#if SECOND
    public static string Version => "second";
#else
    public static string Version => "first";
#endif
}

#if SECOND
public abstract class OnlyInSecond;
#endif
