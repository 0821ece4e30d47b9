global using System;
global using System.Collections.Generic;
global using System.Composition;
global using System.IO;
global using System.Linq;
global using System.Threading;
global using StoragePlugins;
