// Portable kernels: text in flagos.tile that the device's plugin compiles or takes as it is.
#include <flagos.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "conformance/case.hpp"
#include "conformance/cases/tile_text.hpp"

namespace flagos::conformance {
namespace {

// What was compiled before is not used: these cases run in processes of their own.
void forget_kernels() { setenv("FLAGOS_KERNEL_CACHE", "off", 1); }

}  // namespace

FLAGOS_CASE("mod.tile.load", {.clause = "flagos_module_load of flagos.tile",
                              .level = Level::full,
                              .isolation = Isolation::own}) {
  forget_kernels();
  if (!tile::is_taken(t)) t.not_supported("the device takes no portable kernels");
  for (int round = 0; round < 2; ++round) {
    const auto factor = static_cast<std::uint32_t>(3 + t.random_below(1'000'000));
    t.subcase("a factor of " + std::to_string(factor));
    if (!tile::loads(t, factor)) t.not_supported("this installation compiles no portable kernels");
  }
}

FLAGOS_CASE("mod.tile.compile",
            {.clause = "flagos_module_compile of flagos.tile: a blob that loads",
             .level = Level::optional,
             .isolation = Isolation::own,
             .feature = "compile"}) {
  forget_kernels();
  if (!tile::is_taken(t)) t.not_supported("the device takes no portable kernels");
  const auto factor = static_cast<std::uint32_t>(3 + t.random_below(1'000'000));
  const std::string text = tile::scale_by(factor);
  const auto desc = tile::desc_of(text);
  flagos_blob_t* blob = nullptr;
  const flagos_status_t status = flagos_module_compile(t.device(), &desc, &blob);
  if (status == FLAGOS_STATUS_UNSUPPORTED)
    t.not_supported("the device compiles nothing ahead of its launch");
  t.ok(status, "compile the text");
  const void* data = nullptr;
  std::uint64_t size = 0;
  const char* name = nullptr;
  t.ok(flagos_blob_get_data(blob, &data, &size, &name), "its bytes and its format");
  const std::string bytes(static_cast<const char*>(data), size);
  const std::string its_format = name;
  t.ok(flagos_blob_destroy(blob), "it is given back");
  const auto again = tile::desc_of(bytes, its_format.c_str());
  flagos_module_t* module = nullptr;
  t.ok(flagos_module_load(t.device(), &again, &module), "load what was compiled");
  tile::check_scale(t, module, factor);
  t.ok(flagos_module_unload(module), "unload it");
}

}  // namespace flagos::conformance
