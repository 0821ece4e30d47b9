// How figures are written: short, always with a unit.

const steps = (number, units, base) => {
  let step = 0;
  while (Math.abs(number) >= base && step < units.length - 1) {
    number /= base;
    step++;
  }
  return [number, units[step]];
};

const digits = (number) => {
  const size = Math.abs(number);
  return number.toFixed(size === 0 || size >= 100 ? 0 : size >= 10 ? (Number.isInteger(number) ? 0 : 1) : Number.isInteger(number) ? 0 : size >= 1 ? 1 : 2);
};

const scaled = (units, base = 1000, gap = " ") => (number) => {
  if (number == null) return "–";
  const [small, unit] = steps(number, units, base);
  return digits(small) + (unit === "" ? "" : gap + unit);
};

/** 12345 → "12.3 k" */
export const count = scaled(["", "k", "M", "G"]);

/** Bytes a second. */
export const rate = scaled(["B/s", "kB/s", "MB/s", "GB/s"]);

/** Bytes, as image sizes and journals are given. */
export const size = scaled(["B", "KiB", "MiB", "GiB", "TiB", "PiB"], 1024);

/** Microseconds. */
export const duration = scaled(["µs", "ms", "s"]);

export const percent = (number) => (number == null ? "–" : digits(number) + " %");

/** Seconds, up to days. */
export const age = (seconds) => {
  if (seconds == null) return "–";
  if (seconds > 0 && seconds < 1) return Math.round(seconds * 1000) + " ms";
  if (seconds < 120) return digits(Math.round(seconds * 10) / 10) + " s";
  if (seconds < 7200) return Math.round(seconds / 60) + " min";
  return seconds < 172800 ? Math.round(seconds / 3600) + " h" : Math.round(seconds / 86400) + " d";
};

/** All digits, in groups. */
export const exact = (number) => (number == null ? "–" : Number(number).toLocaleString("en-US"));
