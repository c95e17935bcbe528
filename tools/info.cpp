// flagos info: what loads here, which devices there are, what each can do.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tools/command.hpp"
#include "tools/describe.hpp"
#include "tools/names.hpp"
#include "tools/table.hpp"

namespace flagos::tools {
namespace {

using nlohmann::json;

json describe_version() {
  flagos_version_info_t info{};
  info.struct_size = sizeof(info);
  check(flagos_get_version(&info), "asking for the version");
  return {{"product", info.product_version},
          {"abi", version_text(info.abi_version)},
          {"abi_min", version_text(info.abi_version_min)},
          {"abi_header", version_text(FLAGOS_ABI_VERSION)}};
}

std::string field(const json& object, const char* key) {
  return printable(object.at(key).get<std::string>());
}

void print_candidates(const json& candidates) {
  fmt::print("\nPlugins ({})\n", candidates.size());
  Table table({"name", "verdict", "version", "vendor", "file"});
  std::string reasons;
  for (const json& candidate : candidates) {
    const std::string name = field(candidate, "name");
    table.add({name.empty() ? "-" : name, field(candidate, "verdict"), field(candidate, "version"),
               field(candidate, "vendor"), field(candidate, "path")});
    if (!candidate.at("reason").get<std::string>().empty())
      reasons += "  " + field(candidate, "reason") + "\n";
  }
  if (!candidates.empty()) fmt::print("{}{}", table.text("  "), reasons);
}

void print_device(const json& device) {
  fmt::print("\n{}: {}\n", field(device, "id"), field(device, "name"));
  fmt::print("  vendor     {}, driver {}\n", field(device, "vendor"),
             field(device, "driver_version"));
  fmt::print("  type       {}, compute units {}, subgroups of {}\n", field(device, "type"),
             device.at("compute_units").get<std::uint32_t>(),
             device.at("subgroup_size").get<std::uint32_t>());
  if (device.contains("error")) {
    fmt::print("  error      {}\n", field(device, "error"));
    return;
  }
  fmt::print("  memory     {} free of {}\n",
             bytes_text(device.at("free_bytes").get<std::uint64_t>()),
             bytes_text(device.at("memory_bytes").get<std::uint64_t>()));
  fmt::print("  blocks     {} threads, {} shared, {} arguments\n",
             device.at("max_block_threads").get<std::uint32_t>(),
             bytes_text(device.at("max_shared_bytes").get<std::uint64_t>()),
             bytes_text(device.at("max_argument_bytes").get<std::uint64_t>()));
  std::vector<std::string> formats;
  for (const json& format : device.at("formats")) {
    formats.push_back(field(format, "name") + " " + field(format, "version"));
  }
  fmt::print("  kernels    {}\n",
             formats.empty() ? "-" : fmt::format("{}", fmt::join(formats, ", ")));
  fmt::print("{}", feature_lines(device, "  "));
}

void print_links(const json& links, const json& devices) {
  if (links.empty()) return;
  fmt::print("\nLinks\n");
  Table table({"from", "to", "type", "copies", "kernels reach it", "distance"});
  for (const json& link : links) {
    const auto id = [&](const char* end) {
      return field(devices.at(link.at(end).get<std::size_t>()), "id");
    };
    table.add({id("from"), id("to"), field(link, "type"),
               link.at("native_copy").get<bool>() ? "native" : "through the host",
               link.at("direct_access").get<bool>() ? "yes" : "no",
               std::to_string(link.at("distance").get<std::uint32_t>())});
  }
  fmt::print("{}", table.text("  "));
}

void print_info(const json& info) {
  const json& version = info.at("version");
  fmt::print("flagos {}, ABI {}\n", field(version, "product"), field(version, "abi"));
  print_candidates(info.at("candidates"));
  fmt::print("\nDevices ({})\n", info.at("devices").size());
  for (const json& device : info.at("devices")) print_device(device);
  if (info.at("devices").empty()) fmt::print("  none; `flagos doctor` says why\n");
  print_links(info.at("links"), info.at("devices"));
}

}  // namespace

int run_info(const Arguments& arguments) {
  cxxopts::Options options("flagos info",
                           "Shows the plugins that load, the devices, and what each can do.");
  options.add_options()("json", "print JSON");
  const auto parsed = parse(options, arguments);
  if (!parsed) return 0;
  const RuntimeOwner runtime(0);
  const json info = {{"version", describe_version()},
                     {"candidates", describe_candidates(runtime)},
                     {"devices", describe_devices(runtime)},
                     {"links", describe_links(runtime)}};
  if (parsed->count("json") > 0) {
    fmt::print("{}\n", dump(info, 2));
  } else {
    print_info(info);
  }
  return 0;
}

}  // namespace flagos::tools
