// flagos version: three numbers that are kept apart.
#include <flagos.h>

#include <fmt/format.h>

#include "tools/command.hpp"
#include "tools/names.hpp"

namespace flagos::tools {

int run_version(const Arguments& arguments) {
  cxxopts::Options options("flagos version", "Prints the versions of the product and of the ABI.");
  if (!parse(options, arguments)) return 0;
  flagos_version_info_t info{};
  info.struct_size = sizeof(info);
  check(flagos_get_version(&info), "asking for the version");
  fmt::print("flagos {}\nABI implemented {} to {}, this command was compiled with {}\n",
             info.product_version, version_text(info.abi_version_min),
             version_text(info.abi_version), version_text(FLAGOS_ABI_VERSION));
  return 0;
}

}  // namespace flagos::tools
