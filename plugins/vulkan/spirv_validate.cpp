// The only user of SPIRV-Tools: no module reaches a driver before the validator has read it.
#include <spirv-tools/libspirv.h>
#include <vulkan/vulkan_core.h>

#include <memory>

#include "base/error.hpp"
#include "plugins/vulkan/spirv.hpp"

namespace flagos::vulkan {
namespace {

constexpr std::uint32_t magic = 0x07230203;
constexpr std::uint32_t newest_version = 0x00010600;

// "" when it is valid, else what the validator says first.
std::string judge(std::span<const std::uint32_t> words, spv_target_env environment) {
  const std::unique_ptr<spv_context_t, decltype(&spvContextDestroy)> context(
      spvContextCreate(environment), spvContextDestroy);
  const std::unique_ptr<spv_validator_options_t, decltype(&spvValidatorOptionsDestroy)> options(
      spvValidatorOptionsCreate(), spvValidatorOptionsDestroy);
  spvValidatorOptionsSetScalarBlockLayout(options.get(), true);
  spvValidatorOptionsSetAllowLocalSizeId(options.get(), true);
  spv_const_binary_t binary{words.data(), words.size()};
  spv_diagnostic raw = nullptr;
  const spv_result_t result = spvValidateWithOptions(context.get(), options.get(), &binary, &raw);
  const std::unique_ptr<spv_diagnostic_t, decltype(&spvDiagnosticDestroy)> diagnostic(
      raw, spvDiagnosticDestroy);
  if (result == SPV_SUCCESS) return {};
  return diagnostic && diagnostic->error != nullptr && *diagnostic->error != '\0'
             ? fmt::format("{} (at word {})", diagnostic->error, diagnostic->position.index)
             : fmt::format("the validator's error {}", static_cast<int>(result));
}

}  // namespace

void validate_spirv(std::span<const std::uint32_t> words, std::uint32_t api_version) {
  if (words.size() < 5)
    throw_error(FLAGOS_STATUS_INVALID_IMAGE, "{} bytes are no SPIR-V module: its header has 20",
                words.size_bytes());
  if (words[0] != magic)
    throw_error(FLAGOS_STATUS_INVALID_IMAGE,
                "the image begins with {:#010x}, a SPIR-V module of this machine with {:#010x}",
                words[0], magic);
  if (words[1] > newest_version || (words[1] & 0xff0000ff) != 0)
    throw_error(FLAGOS_STATUS_UNSUPPORTED,
                "the module is SPIR-V of version {:#010x}, at most {:#010x}", words[1],
                newest_version);
  if (words[4] != 0)
    throw_error(FLAGOS_STATUS_INVALID_IMAGE, "the module has schema {}, there is only 0", words[4]);
  const bool has_1_3 = api_version >= VK_API_VERSION_1_3;
  const std::string reason = judge(words, has_1_3 ? SPV_ENV_VULKAN_1_3 : SPV_ENV_VULKAN_1_2);
  if (reason.empty()) return;
  const bool is_foreign = judge(words, SPV_ENV_UNIVERSAL_1_6).empty();
  throw_error(is_foreign ? FLAGOS_STATUS_UNSUPPORTED : FLAGOS_STATUS_INVALID_IMAGE, "{}: {}",
              is_foreign ? "the SPIR-V module is not for Vulkan" : "invalid SPIR-V", reason);
}

}  // namespace flagos::vulkan
