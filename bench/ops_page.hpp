// The page of `flagos bench ops`: one bar for each case, its length the fraction of the ceiling.
#pragma once

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <string>

namespace flagos::bench {

inline std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text)
    out += c == '<' ? "&lt;" : c == '&' ? "&amp;" : c == '"' ? "&quot;" : std::string(1, c);
  return out;
}

inline std::string ops_page(const nlohmann::json& report) {
  std::string rows, last;
  for (const auto& c : report["cases"]) {
    const std::string op = c["op"];
    const double fraction = c["fraction"];
    const bool by_flops = c.contains("flops");
    const double rate = (by_flops ? c["flops"] : c["bytes_per_second"]).get<double>() / 1e9;
    rows += fmt::format(
        "<tr{}><td>{}</td><td>{}</td><td>{}</td><td class=n>{:.1f} us</td><td class=n>{:.1f} "
        "{}</td>"
        "<td><svg width=300 height=14 role=img aria-label='{:.2f} of the ceiling'><rect "
        "width={:.0f} height=14 "
        "fill='{}'/><line x1=240 x2=240 y2=14 stroke='#888'/></svg> {:.2f}</td></tr>\n",
        op != last ? " class=first" : "", escaped(op), escaped(c["dtype"]), escaped(c["shape"]),
        c["seconds"].get<double>() * 1e6, rate, by_flops ? "GFLOP/s" : "GB/s", fraction,
        std::min(fraction, 1.25) * 240,
        fraction >= 0.95  ? "#2a9d5c"
        : fraction >= 0.7 ? "#d9a514"
                          : "#c8503c",
        fraction);
    last = op;
  }
  return fmt::format(
      "<!doctype html><html lang=en><meta charset=utf-8><title>flagos operators</title><style>"
      "body{{font:14px sans-serif;margin:2em}}td{{padding:1px 12px 1px 0}}.n{{text-align:right}}"
      ".first td{{border-top:1px solid #ccc}}</style><h1>Operators on {} ({})</h1>"
      "<p>Ceilings measured in this run: {:.1f} GB/s, {:.0f} GFLOP/s in float32. A bar as long as "
      "the line reaches the "
      "ceiling. One element: {:.0f} ns a call, {:.0f} ns with the "
      "wait.</p><table>{}</table></html>\n",
      escaped(report["device"]), escaped(report["id"]),
      report["ceiling"]["bytes_per_second"].get<double>() / 1e9,
      report["ceiling"]["flops"].get<double>() / 1e9, report["small"]["call_ns"].get<double>(),
      report["small"]["call_and_wait_ns"].get<double>(), rows);
}

}  // namespace flagos::bench
