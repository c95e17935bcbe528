#include <glslang/Include/glslang_c_interface.h>
#include <glslang/Public/resource_limits_c.h>

#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include "plugins/vulkan/glslang/flagos_glslang.h"

namespace {

struct Result : flagos_glslang_result_t {
  std::vector<std::uint32_t> code;
  std::string text;
};

using Shader = std::unique_ptr<glslang_shader_t, decltype(&glslang_shader_delete)>;
using Program = std::unique_ptr<glslang_program_t, decltype(&glslang_program_delete)>;

void add(std::string& text, const char* more) {
  if (more != nullptr) text += more;
}

glslang_input_t make_input(const char* source, std::uint32_t vulkan_minor) {
  glslang_input_t input{};
  input.language = GLSLANG_SOURCE_GLSL;
  input.stage = GLSLANG_STAGE_COMPUTE;
  input.client = GLSLANG_CLIENT_VULKAN;
  input.client_version = vulkan_minor >= 3 ? GLSLANG_TARGET_VULKAN_1_3 : GLSLANG_TARGET_VULKAN_1_2;
  input.target_language = GLSLANG_TARGET_SPV;
  input.target_language_version =
      vulkan_minor >= 3 ? GLSLANG_TARGET_SPV_1_6 : GLSLANG_TARGET_SPV_1_5;
  input.code = source;
  input.default_version = 460;
  input.default_profile = GLSLANG_NO_PROFILE;
  input.messages = GLSLANG_MSG_DEFAULT_BIT;
  input.resource = glslang_default_resource();
  return input;
}

constexpr int link_messages = GLSLANG_MSG_SPV_RULES_BIT | GLSLANG_MSG_VULKAN_RULES_BIT;

// What the messages say when it is false stands in the text.
bool translate(const glslang_input_t& input, const char* preamble, Result& result) {
  const Shader shader(glslang_shader_create(&input), glslang_shader_delete);
  if (!shader) throw std::bad_alloc();
  glslang_shader_set_preamble(shader.get(), preamble);
  const bool parsed = glslang_shader_preprocess(shader.get(), &input) != 0 &&
                      glslang_shader_parse(shader.get(), &input) != 0;
  add(result.text, glslang_shader_get_info_log(shader.get()));
  if (!parsed) return false;
  const Program program(glslang_program_create(), glslang_program_delete);
  if (!program) throw std::bad_alloc();
  glslang_program_add_shader(program.get(), shader.get());
  const bool linked = glslang_program_link(program.get(), link_messages) != 0;
  add(result.text, glslang_program_get_info_log(program.get()));
  if (!linked) return false;
  glslang_program_SPIRV_generate(program.get(), GLSLANG_STAGE_COMPUTE);
  add(result.text, glslang_program_SPIRV_get_messages(program.get()));
  result.code.resize(glslang_program_SPIRV_get_size(program.get()));
  if (result.code.empty()) return false;
  glslang_program_SPIRV_get(program.get(), result.code.data());
  return true;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) flagos_glslang_result_t* flagos_glslang_compile(
    const char* source, const char* preamble, std::uint32_t vulkan_minor) {
  // Compilation is rare: one at a time asks nothing of glslang's thread safety.
  static std::mutex mutex;
  try {
    const std::lock_guard lock(mutex);
    static const bool ready = glslang_initialize_process() != 0;
    auto result = std::make_unique<Result>();
    const glslang_input_t input = make_input(source, vulkan_minor);
    const bool succeeded = ready && translate(input, preamble, *result);
    result->words = succeeded ? result->code.data() : nullptr;
    result->word_count = succeeded ? result->code.size() : 0;
    result->log = result->text.c_str();
    return result.release();
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

extern "C" __attribute__((visibility("default"))) void flagos_glslang_free(
    flagos_glslang_result_t* result) {
  delete static_cast<Result*>(result);
}
