// For the tests of routing: the cpu plugin with another name and operators of its own. What they do with mm and addmm is
// chosen by the number of rows; where they run, the output is filled with 42.
#include <dlfcn.h>
#include <flagos_plugin.h>

#include <cstring>

#include "ops/testing/routing_plugin.hpp"

namespace {

using namespace flagos::ops::testing;

const flagos_host_t* services = nullptr;
flagos_plugin_t cpu{};

const flagos_operator_info_t offered[] = {
    {sizeof(flagos_operator_info_t), 0, "mm", "mm(Tensor input, Tensor mat2, Tensor! out)"},
    {sizeof(flagos_operator_info_t), 0, "addmm",
     "addmm(Tensor input, Tensor mat1, Tensor mat2, Scalar beta=1, Scalar alpha=1, Tensor! out)"},
    // Another operator that happens to have this name, and one that nobody knows.
    {sizeof(flagos_operator_info_t), 0, "bmm", "bmm(Tensor a, Tensor b, Tensor! out)"},
    {sizeof(flagos_operator_info_t), 0, "mm_of_tomorrow", "mm_of_tomorrow(Tensor! out)"}};

flagos_status_t fail(flagos_status_t status, const char* text) {
  services->set_error(services->context, status, text);
  return status;
}

flagos_status_t get_info(flagos_plugin_device_t*, std::uint32_t index,
                         flagos_operator_info_t* out_info) {
  if (index >= sizeof(offered) / sizeof(offered[0])) return FLAGOS_STATUS_NOT_FOUND;
  *out_info = offered[index];
  return FLAGOS_STATUS_OK;
}

const flagos_tensor_t& output_of(const flagos_operator_desc_t& desc) {
  return *reinterpret_cast<const flagos_tensor_t*>(
      static_cast<std::uintptr_t>(desc.arguments[desc.argument_count - 1].value));
}
std::int64_t rows_of(const flagos_operator_desc_t& desc) { return output_of(desc).shape[0]; }

flagos_status_t query(flagos_plugin_device_t*, const flagos_operator_desc_t* desc,
                      flagos_operator_support_t* out_support) {
  static int asked = 0;
  const std::int64_t rows = rows_of(*desc);
  if (rows == rows_broken) return fail(FLAGOS_STATUS_INTERNAL, "the library is broken");
  if (rows == rows_refused || (rows == rows_once && asked++ > 0)) return FLAGOS_STATUS_OK;
  out_support->flags = FLAGOS_OPERATOR_SUPPORT_FLAG_RUNS;
  if (rows != rows_at_once) out_support->flags |= FLAGOS_OPERATOR_SUPPORT_FLAG_DEFERRABLE;
  if (rows == rows_workspace) out_support->workspace_bytes = workspace_bytes;
  return FLAGOS_STATUS_OK;
}

flagos_status_t run(flagos_plugin_stream_t* stream, const flagos_operator_desc_t* desc) {
  const std::int64_t rows = rows_of(*desc);
  if (rows == rows_unsuitable) return fail(FLAGOS_STATUS_UNSUPPORTED, "the address does not suit");
  if (rows == rows_failing) return fail(FLAGOS_STATUS_OUT_OF_RESOURCES, "the library is full");
  if (rows == rows_workspace) {
    if (desc->workspace_bytes < workspace_bytes)
      return fail(FLAGOS_STATUS_INTERNAL, "no workspace");
    const unsigned char one = 1;
    if (const flagos_status_t status =
            cpu.memory->fill(stream, desc->workspace, &one, 1, workspace_bytes))
      return status;
  }
  const flagos_tensor_t& out = output_of(*desc);
  const float value = answer;
  return cpu.memory->fill(stream, out.address, &value, sizeof(value),
                          static_cast<std::uint64_t>(out.shape[0] * out.shape[1]) * sizeof(value));
}

const flagos_operators_table_t table = {sizeof(table), 1, get_info, query, run};

}  // namespace

flagos_status_t flagos_plugin_open(const flagos_host_t* host, flagos_plugin_t* out_plugin) {
  services = host;
  void* const library = dlopen(FLAGOS_CPU_PLUGIN, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return fail(FLAGOS_STATUS_NOT_FOUND, dlerror());
  const auto open =
      reinterpret_cast<flagos_plugin_open_t>(dlsym(library, FLAGOS_PLUGIN_OPEN_SYMBOL));
  const flagos_status_t status = open(host, out_plugin);
  if (status != FLAGOS_STATUS_OK) return status;
  out_plugin->name = "routing";
  out_plugin->operators = &table;
  cpu = *out_plugin;
  return FLAGOS_STATUS_OK;
}
