#include "core/operators.hpp"

#include "core/entry.hpp"
#include "core/stream.hpp"
#include "core/tensor.hpp"
#include "core/validation.hpp"

namespace flagos::core {

namespace {

constexpr std::size_t most_operators = 4096;

[[noreturn]] void throw_argument(std::uint32_t index, const std::string& what) {
  throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "argument {} of the operator {}", index, what);
}

// `device` is nullptr where memory is not looked at.
void check_tensor(Device* device, std::uint32_t index, const flagos_tensor_t* given) {
  if (given == nullptr) throw_argument(index, "is or holds a tensor that is NULL");
  const flagos_tensor_t& tensor = check_desc(given, "flagos_tensor_t");
  check_flags(tensor.flags, FLAGOS_TENSOR_FLAG_READ_ONLY, "flagos_tensor_t.flags");
  check_shape(tensor.shape, tensor.rank);
  if (tensor.rank != 0 && tensor.strides == nullptr) throw_argument(index, "is a tensor without strides");
  const Extent extent = extent_of(tensor.shape, tensor.strides, tensor.rank, element_bits(tensor.dtype));
  if (device != nullptr) check_memory(*device, tensor.address, extent, "a tensor of the operator");
}

void check_argument(Device* device, std::uint32_t index, const flagos_operator_argument_t& argument) {
  const bool list =
      argument.type == FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSORS || argument.type == FLAGOS_OPERATOR_ARGUMENT_TYPE_INTEGERS;
  if (!list && argument.count != 0)
    throw_argument(index, fmt::format("is no list, and its count is {}", argument.count));
  if (list && argument.count != 0 && argument.value == 0)
    throw_argument(index, fmt::format("is NULL, and its count is {}", argument.count));
  switch (argument.type) {
    case FLAGOS_OPERATOR_ARGUMENT_TYPE_NONE:
    case FLAGOS_OPERATOR_ARGUMENT_TYPE_INTEGER:
    case FLAGOS_OPERATOR_ARGUMENT_TYPE_INTEGERS:
    case FLAGOS_OPERATOR_ARGUMENT_TYPE_REAL:
      return;
    case FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSOR:
      return check_tensor(device, index, pointer_in<flagos_tensor_t>(argument));
    case FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSORS:
      for (std::uint32_t k = 0; k < argument.count; ++k)
        check_tensor(device, index, pointer_in<const flagos_tensor_t*>(argument)[k]);
      return;
    case FLAGOS_OPERATOR_ARGUMENT_TYPE_BOOLEAN:
      if (argument.value > 1) throw_argument(index, fmt::format("is a boolean of value {}", argument.value));
      return;
    case FLAGOS_OPERATOR_ARGUMENT_TYPE_TEXT:
      if (argument.value == 0) throw_argument(index, "is a text that is NULL");
      return;
    default:
      throw_argument(index, fmt::format("is of type {}, not a FLAGOS_OPERATOR_ARGUMENT_TYPE_*", argument.type));
  }
}

// The desc as the plugin wants it: of this version's size, without a chain.
flagos_operator_desc_t checked_call(Device& device, const flagos_operator_desc_t* given, bool with_memory) {
  flagos_operator_desc_t desc = check_desc(given, "flagos_operator_desc_t");
  desc.struct_size = sizeof(desc);
  desc.next = nullptr;
  device.require_feature(FLAGOS_FEATURE_OPERATORS, "native operators");
  check_flags(desc.flags, 0, "flagos_operator_desc_t.flags");
  if (desc.padding != 0) throw_error(FLAGOS_STATUS_UNSUPPORTED, "flagos_operator_desc_t.padding is not 0");
  if (desc.index >= device.operators().size())
    throw_error(FLAGOS_STATUS_NOT_FOUND, "operator {} of the {} that device {} offers", desc.index,
                device.operators().size(), device.info().id);
  if (desc.argument_count > FLAGOS_OPERATOR_MAX_ARGUMENTS)
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "an operator with {} arguments; {} are the most", desc.argument_count,
                FLAGOS_OPERATOR_MAX_ARGUMENTS);
  if (desc.argument_count != 0) require(desc.arguments, "flagos_operator_desc_t.arguments");
  for (std::uint32_t i = 0; i < desc.argument_count; ++i)
    check_argument(with_memory ? &device : nullptr, i, desc.arguments[i]);
  if (with_memory && desc.workspace_bytes != 0)
    device.check_range(desc.workspace, desc.workspace_bytes, "the workspace", FLAGOS_MEMORY_ACCESS_READ_WRITE);
  return desc;
}

flagos_operator_support_t support_of(Device& device, const flagos_operator_desc_t& desc) {
  flagos_operator_support_t support{};
  support.struct_size = sizeof(support);
  expect(device.tables().operators.query(device.native(), &desc, &support), "operators.query");
  constexpr std::uint32_t known = FLAGOS_OPERATOR_SUPPORT_FLAG_RUNS | FLAGOS_OPERATOR_SUPPORT_FLAG_DEFERRABLE;
  if ((support.flags & ~known) != 0)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "operators.query gave the unknown flags {:#x}", support.flags & ~known);
  if ((support.flags & FLAGOS_OPERATOR_SUPPORT_FLAG_RUNS) == 0) support = {sizeof(support), 0, 0};
  return support;
}

// What becomes a node of a graph, or is held back, must not be refused when its turn comes.
OperatorCommand make_deferred(const Stream& stream, const flagos_operator_desc_t& desc) {
  const std::uint32_t mode = stream.mode();
  const bool deferred =
      (mode & (Stream::capturing | Stream::soft)) != 0 && (mode & (Stream::lost | Stream::poisoned)) == 0;
  if (deferred) {
    const flagos_operator_support_t support = support_of(stream.device(), desc);
    if ((support.flags & FLAGOS_OPERATOR_SUPPORT_FLAG_DEFERRABLE) == 0)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "operator '{}' of device {} runs at once or not at all, and the stream {}",
                  stream.device().operators()[desc.index].name, stream.device().info().id,
                  (mode & Stream::capturing) != 0 ? "is captured" : "is held back");
  }
  return {std::make_shared<const OperatorCall>(desc)};
}

}  // namespace

std::vector<flagos_operator_info_t> read_operators(const Tables& tables, flagos_plugin_device_t* device) {
  std::vector<flagos_operator_info_t> operators;
  while (tables.has.operators) {
    flagos_operator_info_t info{};
    info.struct_size = sizeof(info);
    const auto index = static_cast<std::uint32_t>(operators.size());
    const flagos_status_t status = tables.operators.get_info(device, index, &info);
    if (status == FLAGOS_STATUS_NOT_FOUND) break;
    expect(status, "operators.get_info");
    if (info.name == nullptr || info.schema == nullptr || operators.size() == most_operators)
      throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL,
                  "operator {} of the plugin has no name or no schema, or is one too many", index);
    info.struct_size = sizeof(info);
    info.padding = 0;
    operators.push_back(info);
  }
  return operators;
}

OperatorCall::OperatorCall(const flagos_operator_desc_t& desc) : desc_(desc) {
  arguments_.assign(desc.arguments, desc.arguments + desc.argument_count);
  for (flagos_operator_argument_t& argument : arguments_) argument.value = keep(argument);
  desc_.arguments = arguments_.data();
}

std::uint64_t OperatorCall::keep(const flagos_operator_argument_t& argument) {
  switch (argument.type) {
    case FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSOR:
      return keep_tensor(*pointer_in<flagos_tensor_t>(argument));
    case FLAGOS_OPERATOR_ARGUMENT_TYPE_TENSORS: {
      std::vector<const flagos_tensor_t*> list(argument.count);
      for (std::uint32_t k = 0; k < argument.count; ++k)
        list[k] = reinterpret_cast<const flagos_tensor_t*>(
            static_cast<std::uintptr_t>(keep_tensor(*pointer_in<const flagos_tensor_t*>(argument)[k])));
      lists_.push_back(std::move(list));
      return reinterpret_cast<std::uintptr_t>(lists_.back().data());
    }
    case FLAGOS_OPERATOR_ARGUMENT_TYPE_INTEGERS:
      return keep_numbers(pointer_in<std::int64_t>(argument), argument.count);
    case FLAGOS_OPERATOR_ARGUMENT_TYPE_TEXT:
      texts_.emplace_back(pointer_in<char>(argument));
      return reinterpret_cast<std::uintptr_t>(texts_.back().c_str());
    default:
      return argument.value;
  }
}

std::uint64_t OperatorCall::keep_tensor(const flagos_tensor_t& tensor) {
  tensors_.push_back(tensor);
  flagos_tensor_t& kept = tensors_.back();
  kept.struct_size = sizeof(kept);
  kept.shape =
      reinterpret_cast<const std::int64_t*>(static_cast<std::uintptr_t>(keep_numbers(tensor.shape, tensor.rank)));
  kept.strides =
      reinterpret_cast<const std::int64_t*>(static_cast<std::uintptr_t>(keep_numbers(tensor.strides, tensor.rank)));
  return reinterpret_cast<std::uintptr_t>(&kept);
}

std::uint64_t OperatorCall::keep_numbers(const std::int64_t* numbers, std::uint32_t count) {
  numbers_.emplace_back(numbers, numbers + count);
  return reinterpret_cast<std::uintptr_t>(numbers_.back().data());
}

}  // namespace flagos::core

using namespace flagos;
using namespace flagos::core;

flagos_status_t flagos_operator_get_count(flagos_device_t* device, uint32_t* out_count) {
  clear_out(out_count);
  return entry(__func__, [&] {
    const Device& object = resolve<Device>(device, "device");
    require(out_count, "out_count") = static_cast<std::uint32_t>(object.operators().size());
  });
}

flagos_status_t flagos_operator_get_info(flagos_device_t* device, uint32_t index, flagos_operator_info_t* out_info) {
  return entry(__func__, [&] {
    begin_out(out_info, "out_info");
    const Device& object = resolve<Device>(device, "device");
    if (index >= object.operators().size())
      throw_error(FLAGOS_STATUS_NOT_FOUND, "operator {} of the {} that device {} offers", index,
                  object.operators().size(), object.info().id);
    finish_out(out_info, object.operators()[index]);
  });
}

flagos_status_t flagos_operator_query(flagos_device_t* device, const flagos_operator_desc_t* desc,
                                      flagos_operator_support_t* out_support) {
  return entry(__func__, [&] {
    begin_out(out_support, "out_support");
    Device& object = resolve<Device>(device, "device");
    const flagos_operator_desc_t call = checked_call(object, desc, false);
    object.throw_if_lost();
    finish_out(out_support, support_of(object, call));
  });
}

flagos_status_t flagos_operator_run(flagos_stream_t* stream, const flagos_operator_desc_t* desc) {
  return entry(__func__, [&]() -> flagos_status_t {
    Stream& target = resolve<Stream>(stream, "stream");
    const flagos_operator_desc_t call = checked_call(target.device(), desc, true);
    if (process_state.load(std::memory_order_relaxed) & process_validating) [[unlikely]]
      validate_operator(target.device(), call);
    return target.submit([&] { return target.tables().operators.run(target.native(), &call); },
                         [&] { return make_deferred(target, call); }, "operators.run");
  });
}
