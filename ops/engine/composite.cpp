#include "ops/engine/composite.hpp"

#include "ops/call.hpp"
#include "ops/table.hpp"
#include "ops/trace.hpp"

namespace flagos::ops {

void call_operator(flagos_stream_t* stream, std::string_view name,
                   std::initializer_list<Tensor> tensors) {
  const Operator* const op = Table::get().find(name);
  if (op == nullptr) throw_error(FLAGOS_STATUS_INTERNAL, "no operator is called {}", name);
  const std::vector<Parameter>& parameters = op->schema().parameters;
  std::vector<flagos_tensor_t> described;
  for (const Tensor& tensor : tensors) {
    flagos_tensor_t& out = described.emplace_back();
    out.struct_size = sizeof(out);
    out.dtype = to_abi(tensor.dtype);
    out.address = tensor.address;
    out.rank = static_cast<std::uint32_t>(tensor.rank);
    out.shape = tensor.shape.data();
    out.strides = tensor.strides.data();
  }
  // 0 stands for the default of a number that is given by address, and of a word.
  std::vector<flagos_ops_argument_t> arguments(parameters.size());
  const auto address = [](const flagos_tensor_t& tensor) {
    return static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(&tensor));
  };
  for (std::size_t i = 0; i + 1 < described.size(); ++i)
    arguments.at(i).value = address(described[i]);
  arguments.back().value = address(described.back());
  Call call(*op, stream, arguments);
  run_operator(*op, call);
}

}  // namespace flagos::ops
