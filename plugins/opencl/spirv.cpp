#include "plugins/opencl/spirv.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <unordered_map>

#include "base/error.hpp"

namespace flagos::opencl {
namespace {

constexpr std::uint32_t magic = 0x07230203;
constexpr std::size_t header_words = 5;
constexpr std::uint32_t bound_limit = 0x3fffff;  // the format's own

enum Opcode : std::uint32_t {
  op_name = 5,
  op_string = 7,
  op_memory_model = 14,
  op_entry_point = 15,
  op_execution_mode = 16,
  op_capability = 17,
  op_type_bool = 20,
  op_type_int = 21,
  op_type_float = 22,
  op_type_vector = 23,
  op_type_array = 28,
  op_type_struct = 30,
  op_type_pointer = 32,
  op_constant = 43,
  op_function = 54,
  op_function_parameter = 55,
  op_decorate = 71
};
enum StorageClass : std::uint32_t {
  uniform_constant = 0,
  workgroup = 4,
  cross_workgroup = 5,
  function = 7
};
constexpr std::uint32_t model_kernel = 6;
constexpr std::uint32_t memory_opencl = 2;
constexpr std::uint32_t capability_kernel = 6;
constexpr std::uint32_t mode_local_size = 17;
constexpr std::uint32_t decoration_packed = 10;

using Words = std::span<const std::uint32_t>;

[[noreturn]] void refuse(std::size_t word, const char* why) {
  throw_error(FLAGOS_STATUS_INVALID_IMAGE, "SPIR-V: word {}: {}", word, why);
}

std::string literal(Words words) {
  const auto* text = reinterpret_cast<const char*>(words.data());
  return {text, strnlen(text, words.size() * 4)};
}

struct Type {
  std::uint32_t opcode = 0;
  std::vector<std::uint32_t> operands;
};

struct Layout {
  std::uint32_t size = 0;
  std::uint32_t alignment = 1;
};

class Module {
 public:
  explicit Module(Words words) { read(words); }
  std::vector<Signature> signatures() const;

 private:
  void read(Words words);
  void read_instruction(std::uint32_t opcode, Words operands, std::size_t at);
  void check_environment() const;
  const Type& type(std::uint32_t id) const;
  Layout layout(std::uint32_t id, int depth = 0) const;
  Layout layout_of_struct(std::uint32_t id, const Type& type, int depth) const;
  Argument argument(std::uint32_t type_id) const;
  void set_source_types(Signature& signature) const;

  struct EntryPoint {
    std::uint32_t id;
    std::string name;
  };
  std::vector<EntryPoint> entries_;
  std::unordered_map<std::uint32_t, Type> types_;
  std::unordered_map<std::uint32_t, std::uint32_t> constants_;
  std::unordered_map<std::uint32_t, std::string> names_;
  std::unordered_map<std::uint32_t, std::vector<std::uint32_t>> local_sizes_;
  struct Parameter {
    std::uint32_t type;
    std::uint32_t id;
  };
  std::unordered_map<std::uint32_t, std::vector<Parameter>> functions_;
  std::vector<std::string> strings_;
  std::vector<std::uint32_t> packed_;
  std::uint32_t current_function_ = 0;
  bool has_kernel_capability_ = false;
  std::uint32_t memory_model_ = UINT32_MAX;
  std::uint32_t addressing_ = 0;
};

void Module::read(Words words) {
  std::size_t at = header_words;
  while (at < words.size()) {
    const std::uint32_t count = words[at] >> 16;
    if (count == 0 || count > words.size() - at) refuse(at, "an instruction that does not fit");
    read_instruction(words[at] & 0xffff, words.subspan(at + 1, count - 1), at);
    at += count;
  }
  check_environment();
}

void Module::read_instruction(std::uint32_t opcode, Words operands, std::size_t at) {
  const auto need = [&](std::size_t count) {
    if (operands.size() < count) refuse(at, "an instruction with too few operands");
  };
  switch (opcode) {
    case op_capability:
      need(1);
      has_kernel_capability_ = has_kernel_capability_ || operands[0] == capability_kernel;
      break;
    case op_memory_model:
      need(2);
      addressing_ = operands[0];
      memory_model_ = operands[1];
      break;
    case op_entry_point:
      need(3);
      if (operands[0] == model_kernel)
        entries_.push_back({operands[1], literal(operands.subspan(2))});
      break;
    case op_execution_mode:
      need(2);
      if (operands[1] == mode_local_size) {
        need(5);
        local_sizes_[operands[0]] = {operands[2], operands[3], operands[4]};
      }
      break;
    case op_name:
      need(2);
      names_[operands[0]] = literal(operands.subspan(1));
      break;
    case op_string:
      need(2);
      strings_.push_back(literal(operands.subspan(1)));
      break;
    case op_decorate:
      need(2);
      if (operands[1] == decoration_packed) packed_.push_back(operands[0]);
      break;
    case op_constant:
      need(3);
      constants_[operands[1]] = operands[2];
      break;
    case op_function:
      need(4);
      current_function_ = operands[1];
      functions_[current_function_];
      break;
    case op_function_parameter:
      need(2);
      functions_[current_function_].push_back({operands[0], operands[1]});
      break;
    default:
      if (opcode >= op_type_bool && opcode <= op_type_pointer) {
        need(1);
        types_[operands[0]] = {opcode, {operands.begin() + 1, operands.end()}};
      }
  }
}

void Module::check_environment() const {
  if (memory_model_ == UINT32_MAX)
    throw_error(FLAGOS_STATUS_INVALID_IMAGE, "SPIR-V: there is no OpMemoryModel");
  if (!has_kernel_capability_ || memory_model_ != memory_opencl)
    throw_error(FLAGOS_STATUS_UNSUPPORTED,
                "SPIR-V for another environment: capability Kernel {}, memory model {}, expected "
                "OpenCL (2)",
                has_kernel_capability_ ? "yes" : "no", memory_model_);
  if (addressing_ != 2)
    throw_error(FLAGOS_STATUS_UNSUPPORTED,
                "SPIR-V with addressing model {}, expected Physical64 (2)", addressing_);
}

const Type& Module::type(std::uint32_t id) const {
  const auto found = types_.find(id);
  if (found == types_.end())
    throw_error(FLAGOS_STATUS_INVALID_IMAGE, "SPIR-V: id {} is no type", id);
  return found->second;
}

Layout Module::layout(std::uint32_t id, int depth) const {
  const Type& found = type(id);
  const auto operand = [&](std::size_t i) {
    if (i >= found.operands.size())
      throw_error(FLAGOS_STATUS_INVALID_IMAGE, "SPIR-V: type {} has too few operands", id);
    return found.operands[i];
  };
  if (depth > 32) throw_error(FLAGOS_STATUS_INVALID_IMAGE, "SPIR-V: type {} is too deep", id);
  switch (found.opcode) {
    case op_type_bool:
      return {1, 1};
    case op_type_int:
    case op_type_float:
      return {operand(0) / 8, std::max(1u, operand(0) / 8)};
    case op_type_pointer:
      return {8, 8};
    case op_type_vector: {
      const std::uint32_t lanes = operand(1) == 3 ? 4 : operand(1);
      const std::uint32_t size = layout(operand(0), depth + 1).size * lanes;
      return {size, std::clamp(size, 1u, 64u)};
    }
    case op_type_array: {
      const auto length = constants_.find(operand(1));
      const Layout element = layout(operand(0), depth + 1);
      const std::uint64_t size =
          length != constants_.end() ? std::uint64_t{element.size} * length->second : 0;
      if (size == 0 || size > 65536)
        throw_error(FLAGOS_STATUS_UNSUPPORTED, "SPIR-V: an array of {} bytes as a parameter", size);
      return {static_cast<std::uint32_t>(size), element.alignment};
    }
    case op_type_struct:
      return layout_of_struct(id, found, depth);
    default:
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "SPIR-V: type {} (opcode {}) as a parameter", id,
                  found.opcode);
  }
}

Layout Module::layout_of_struct(std::uint32_t id, const Type& type, int depth) const {
  const bool is_packed = std::find(packed_.begin(), packed_.end(), id) != packed_.end();
  Layout whole;
  for (const std::uint32_t member : type.operands) {
    const Layout part = layout(member, depth + 1);
    const std::uint32_t alignment = is_packed ? 1 : part.alignment;
    whole.size = (whole.size + alignment - 1) / alignment * alignment + part.size;
    whole.alignment = std::max(whole.alignment, alignment);
    if (whole.size > 65536)
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "SPIR-V: a struct above 64 KiB as a parameter");
  }
  whole.size = (whole.size + whole.alignment - 1) / whole.alignment * whole.alignment;
  return whole;
}

Argument Module::argument(std::uint32_t type_id) const {
  Argument result;
  const Type* found = &type(type_id);
  if (found->opcode == op_type_pointer && found->operands.size() >= 2) {
    const std::uint32_t storage = found->operands[0];
    if (storage == workgroup) {
      result.kind = ArgumentKind::local;
      return result;
    }
    if (storage != function) {
      result.kind = ArgumentKind::address;
      result.is_constant = storage == uniform_constant;
      result.dtype = FLAGOS_DTYPE_ADDRESS;
      result.size_bytes = result.alignment_bytes = 8;
      return result;
    }
    type_id = found->operands[1];  // a struct by value is a pointer to a copy of it
    found = &type(type_id);
  }
  const Layout size = layout(type_id);
  result.size_bytes = size.size;
  result.alignment_bytes = size.alignment;
  const bool is_int = found->opcode == op_type_int;
  const bool is_scalar = is_int || found->opcode == op_type_float;
  // Integers of OpenCL's SPIR-V have no sign.
  result.dtype = is_scalar ? FLAGOS_MAKE_DTYPE(is_int ? 1 : 2, size.size * 8, 1)
                           : flagos_dtype_t{FLAGOS_DTYPE_BYTES};
  return result;
}

// Compilers of OpenCL C leave the types of the source in a string, "kernel_arg_type.NAME.int,uint*,".
void Module::set_source_types(Signature& signature) const {
  const std::string prefix = "kernel_arg_type." + signature.name + ".";
  for (const std::string& text : strings_) {
    if (!text.starts_with(prefix)) continue;
    std::size_t at = prefix.size();
    for (Argument& argument : signature.arguments) {
      const auto comma = text.find(',', at);
      if (comma == std::string::npos) return;
      argument.type = text.substr(at, comma - at);
      at = comma + 1;
      Argument named = argument;
      if (argument.kind == ArgumentKind::value && set_builtin_type(named) &&
          named.size_bytes == argument.size_bytes)
        argument.dtype = named.dtype;
    }
  }
}

std::vector<Signature> Module::signatures() const {
  std::vector<Signature> all;
  for (const EntryPoint& entry : entries_) {
    Signature& signature = all.emplace_back();
    signature.name = entry.name;
    const auto parameters = functions_.find(entry.id);
    if (parameters == functions_.end())
      throw_error(FLAGOS_STATUS_INVALID_IMAGE, "SPIR-V: entry point '{}' has no function",
                  entry.name);
    for (const Parameter& parameter : parameters->second) {
      Argument& added = signature.arguments.emplace_back(argument(parameter.type));
      const auto name = names_.find(parameter.id);
      if (name != names_.end()) added.name = name->second;
    }
    set_source_types(signature);
    for (Argument& added : signature.arguments)
      if (added.kind == ArgumentKind::address && added.name == "flagos_failure")
        added.kind = ArgumentKind::failure;
    const auto size = local_sizes_.find(entry.id);
    if (size != local_sizes_.end())
      std::copy(size->second.begin(), size->second.end(), signature.fixed_block);
    lay_out(signature);
  }
  return all;
}

}  // namespace

std::vector<Signature> reflect_spirv(std::span<const std::byte> bytes) {
  if (bytes.size() < header_words * 4 || bytes.size() % 4 != 0)
    throw_error(FLAGOS_STATUS_INVALID_IMAGE,
                "{} bytes are no SPIR-V: a module is whole words, at least {} of them",
                bytes.size(), header_words);
  std::vector<std::uint32_t> words(bytes.size() / 4);
  std::memcpy(words.data(), bytes.data(), bytes.size());
  if (words[0] == __builtin_bswap32(magic))
    for (std::uint32_t& word : words) word = __builtin_bswap32(word);
  if (words[0] != magic) refuse(0, "this is not SPIR-V's magic number");
  if (words[3] == 0 || words[3] > bound_limit) refuse(3, "a bound of ids that the format forbids");
  return Module(words).signatures();
}

}  // namespace flagos::opencl
