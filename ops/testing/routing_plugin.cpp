// For the tests of routing: the cpu plugin with another name and operators of its own. What they do with mm and addmm is
// chosen by the number of rows; of every other family they take every call of one operator. Where they run, the last
// output is filled with 42.
#include <dlfcn.h>
#include <flagos_plugin.h>

#include <cstring>
#include <iterator>
#include <vector>

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
constexpr std::uint32_t products = 4;

const flagos_operator_info_t& info_of(std::uint32_t index) {
  if (index < products) return offered[index];
  static const std::vector<flagos_operator_info_t> more = [] {
    std::vector<flagos_operator_info_t> infos;
    for (const auto& [name, schema] : always_taken)
      infos.push_back({sizeof(flagos_operator_info_t), 0, name, schema});
    return infos;
  }();
  return more[index - products];
}

flagos_status_t fail(flagos_status_t status, const char* text) {
  services->set_error(services->context, status, text);
  return status;
}

flagos_status_t get_info(flagos_plugin_device_t*, std::uint32_t index,
                         flagos_operator_info_t* out_info) {
  if (index >= products + std::size(always_taken)) return FLAGOS_STATUS_NOT_FOUND;
  *out_info = info_of(index);
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
  if (desc->index >= products) {
    out_support->flags = FLAGOS_OPERATOR_SUPPORT_FLAG_RUNS;
    return FLAGOS_STATUS_OK;
  }
  const std::int64_t rows = rows_of(*desc);
  if (rows == rows_broken) return fail(FLAGOS_STATUS_INTERNAL, "the library is broken");
  if (rows == rows_refused || (rows == rows_once && asked++ > 0)) return FLAGOS_STATUS_OK;
  out_support->flags = FLAGOS_OPERATOR_SUPPORT_FLAG_RUNS;
  if (rows != rows_at_once) out_support->flags |= FLAGOS_OPERATOR_SUPPORT_FLAG_DEFERRABLE;
  if (rows == rows_workspace) out_support->workspace_bytes = workspace_bytes;
  return FLAGOS_STATUS_OK;
}

flagos_status_t fill(flagos_plugin_stream_t* stream, const flagos_tensor_t& out) {
  std::uint64_t count = 1;
  for (std::uint32_t axis = 0; axis < out.rank; ++axis)
    count *= static_cast<std::uint64_t>(out.shape[axis]);
  const auto whole = static_cast<std::int64_t>(answer);
  const float real = answer;
  const bool is_whole = out.dtype == FLAGOS_DTYPE_INT64;
  const std::uint32_t size = is_whole ? sizeof(whole) : sizeof(real);
  return cpu.memory->fill(stream, out.address, is_whole ? static_cast<const void*>(&whole) : &real,
                          size, count * size);
}

flagos_status_t run(flagos_plugin_stream_t* stream, const flagos_operator_desc_t* desc) {
  if (desc->index >= products) return fill(stream, output_of(*desc));
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
  return fill(stream, output_of(*desc));
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
