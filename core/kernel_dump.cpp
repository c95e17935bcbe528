#include "core/kernel_dump.hpp"

#include <nlohmann/json.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/digest.hpp"
#include "core/log.hpp"
#include "core/runtime.hpp"

namespace flagos::core {

namespace {

nlohmann::json describe(const TileRecord& record) {
  nlohmann::json assertions = nlohmann::json::array();
  for (const TileAssertion& assertion : record.assertions)
    assertions.push_back({{"number", assertion.number}, {"message", assertion.message}});
  return {{"kernel", record.name},
          {"threads", record.threads},
          {"shared_bytes", record.shared_bytes},
          {"scratch_bytes", record.scratch_bytes},
          {"fails", record.fails},
          {"assertions", assertions},
          {"argument_bytes", record.argument_bytes}};
}

}  // namespace

KernelDump::KernelDump(const Device& device, const TileModule& module, const std::string& target) : target_(target) {
  const char* folder = device.runtime().reads_environment() ? ::secure_getenv("FLAGOS_KERNEL_DUMP") : nullptr;
  if (folder == nullptr || *folder == '\0') return;
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  constexpr std::size_t shown_bytes = 8;
  const auto hash = module.hash();
  stem_ = fmt::format("{}/{:.64}-{}-{}", folder, module.kernels().front().name, hex(std::span(hash).first(shown_bytes)),
                      device.plugin().name());
  write("tile", module.text());
}

void KernelDump::source(const std::string& format, std::string_view text) const { write(format, text); }

void KernelDump::failure(std::string_view log) const { write("log", log); }

void KernelDump::result(const TileBinary& binary) const {
  if (!enabled()) return;
  write("log", binary.log);
  nlohmann::json kernels = nlohmann::json::array();
  for (const TileRecord& record : binary.kernels) kernels.push_back(describe(record));
  const nlohmann::json all = {{"target", target_},
                              {"compiler", binary.maker},
                              {"format", binary.format},
                              {"image_bytes", binary.image.size()},
                              {"kernels", kernels}};
  constexpr int indent = 2;
  write("json", all.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

void KernelDump::write(const std::string& extension, std::string_view text) const {
  if (!enabled()) return;
  const std::string path = stem_ + "." + extension;
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
  file.close();
  if (!file) log(FLAGOS_LOG_LEVEL_WARNING, "FLAGOS_KERNEL_DUMP: {} cannot be written", path);
}

}  // namespace flagos::core
