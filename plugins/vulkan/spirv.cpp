#include "plugins/vulkan/spirv.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#define SPV_ENABLE_UTILITY_CODE
#include <spirv/unified1/spirv.hpp>

#include "base/error.hpp"

namespace flagos::vulkan {
namespace {

struct Instruction {
  spv::Op op;
  std::span<const std::uint32_t> words;  // operands
  std::uint32_t operator[](std::size_t i) const {
    if (i >= words.size()) throw_error(FLAGOS_STATUS_INVALID_IMAGE, "a short SPIR-V instruction");
    return words[i];
  }
};

// A literal string at the operand `first`; `out_words` is how many words it takes.
std::string text_at(const Instruction& instruction, std::size_t first,
                    std::size_t* out_words = nullptr) {
  std::string text;
  for (std::size_t i = first;; ++i) {
    std::uint32_t word = instruction[i];
    for (int byte = 0; byte < 4; ++byte, word >>= 8) {
      if ((word & 0xff) == 0) {
        if (out_words != nullptr) *out_words = i - first + 1;
        return text;
      }
      text += static_cast<char>(word & 0xff);
    }
  }
}

template <typename Visit>
void for_each(std::span<const std::uint32_t> words, const Visit& visit) {
  for (std::size_t at = 5; at < words.size();) {
    const std::uint32_t count = words[at] >> 16;
    if (count == 0 || count > words.size() - at)
      throw_error(FLAGOS_STATUS_INVALID_IMAGE, "a SPIR-V instruction of {} words at word {} of {}",
                  count, at, words.size());
    visit(Instruction{static_cast<spv::Op>(words[at] & 0xffff), words.subspan(at + 1, count - 1)});
    at += count;
  }
}

constexpr std::uint32_t round_up(std::uint32_t value, std::uint32_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

struct Layout {
  std::uint32_t size = 0;
  std::uint32_t alignment = 1;
};

struct EntryPoint {
  std::uint32_t function;
  std::string name;
  std::vector<std::uint32_t> interface;
};

struct Function {
  std::set<std::uint32_t> uses;  // ids in its body
};

class Reader {
 public:
  explicit Reader(std::span<const std::uint32_t> words) : version_(words[1]) {
    for_each(words, [this](const Instruction& instruction) { read(instruction); });
  }

  SpirvModule reflect() {
    SpirvModule module;
    module.capabilities = capabilities_;
    for (const EntryPoint& entry : entries_) module.kernels.push_back(kernel(entry));
    return module;
  }

 private:
  void read(const Instruction& i) {
    if (function_ != nullptr && i.op != spv::OpFunction) {
      function_->uses.insert(i.words.begin(), i.words.end());
      if (i.op == spv::OpFunctionEnd) function_ = nullptr;
      return;
    }
    switch (i.op) {
      case spv::OpCapability:
        capabilities_.push_back(i[0]);
        break;
      case spv::OpEntryPoint:
        read_entry(i);
        break;
      case spv::OpExecutionMode:
      case spv::OpExecutionModeId:
        if (i[1] == spv::ExecutionModeLocalSize || i[1] == spv::ExecutionModeLocalSizeId)
          modes_[i[0]] = {i[1] == spv::ExecutionModeLocalSizeId, {i[2], i[3], i[4]}};
        break;
      case spv::OpMemberName:
        member_names_[{i[0], i[1]}] = text_at(i, 2);
        break;
      case spv::OpDecorate:
        read_decoration(i);
        break;
      case spv::OpMemberDecorate:
        if (i[2] == spv::DecorationOffset) offsets_[{i[0], i[1]}] = i[3];
        break;
      case spv::OpConstant:
      case spv::OpSpecConstant:
        constants_[i[1]] = i[2];
        break;
      case spv::OpSpecConstantComposite:
      case spv::OpConstantComposite:
        composites_[i[1]].assign(i.words.begin() + 2, i.words.end());
        break;
      case spv::OpVariable:
        variables_[i[1]] = {i[0], static_cast<spv::StorageClass>(i[2])};
        break;
      case spv::OpFunction:
        function_ = &functions_[i[1]];
        break;
      default:
        if (i.op >= spv::OpTypeVoid && i.op <= spv::OpTypeForwardPointer && !i.words.empty())
          types_[i[0]] = i;
        break;
    }
  }

  void read_entry(const Instruction& i) {
    if (i[0] != spv::ExecutionModelGLCompute) return;
    std::size_t name_words = 0;
    EntryPoint entry{i[1], text_at(i, 2, &name_words), {}};
    entry.interface.assign(i.words.begin() + 2 + static_cast<std::ptrdiff_t>(name_words),
                           i.words.end());
    entries_.push_back(std::move(entry));
  }

  void read_decoration(const Instruction& i) {
    switch (i[1]) {
      case spv::DecorationSpecId:
        spec_ids_[i[0]] = i[2];
        break;
      case spv::DecorationArrayStride:
        strides_[i[0]] = i[2];
        break;
      case spv::DecorationBinding:
        bindings_[i[0]] = i[2];
        break;
      case spv::DecorationDescriptorSet:
        sets_[i[0]] = i[2];
        break;
      case spv::DecorationBufferBlock:
        buffer_blocks_.insert(i[0]);
        break;
      case spv::DecorationBuiltIn:
        if (i[2] == spv::BuiltInWorkgroupSize) workgroup_size_ = i[0];
        break;
      default:
        break;
    }
  }

  const Instruction& type(std::uint32_t id) const {
    const auto found = types_.find(id);
    if (found == types_.end())
      throw_error(FLAGOS_STATUS_INVALID_IMAGE, "SPIR-V id {} is no type", id);
    return found->second;
  }

  // The length of an array; 0 when a pipeline sets it.
  std::uint32_t length_of(std::uint32_t id) const {
    const auto found = constants_.find(id);
    return found == constants_.end() || spec_ids_.count(id) != 0 ? 0 : found->second;
  }

  Layout layout_of(std::uint32_t id) const {
    const Instruction& t = type(id);
    switch (t.op) {
      case spv::OpTypeInt:
      case spv::OpTypeFloat:
        return {t[1] / 8, t[1] / 8};
      case spv::OpTypeBool:
        return {4, 4};
      case spv::OpTypePointer:
        return {8, 8};
      case spv::OpTypeVector: {
        const Layout element = layout_of(t[1]);
        return {element.size * t[2], element.alignment};
      }
      case spv::OpTypeMatrix: {
        const Layout column = layout_of(t[1]);
        return {column.size * t[2], column.alignment};
      }
      case spv::OpTypeArray: {
        const Layout element = layout_of(t[1]);
        const auto stride = strides_.find(id);
        const std::uint32_t step =
            stride != strides_.end() ? stride->second : round_up(element.size, element.alignment);
        return {step * length_of(t[2]), element.alignment};
      }
      case spv::OpTypeStruct: {
        Layout whole;
        for (std::uint32_t member = 0; member + 1 < t.words.size(); ++member) {
          const Layout part = layout_of(t[member + 1]);
          const auto offset = offsets_.find({id, member});
          const std::uint32_t at =
              offset != offsets_.end() ? offset->second : round_up(whole.size, part.alignment);
          whole.size = std::max(whole.size, at + part.size);
          whole.alignment = std::max(whole.alignment, part.alignment);
        }
        return whole;
      }
      default:
        throw_error(FLAGOS_STATUS_INVALID_IMAGE, "a kernel argument of SPIR-V type {}", int(t.op));
    }
  }

  std::string member_name(std::uint32_t structure, std::uint32_t member) const {
    const auto found = member_names_.find({structure, member});
    return found == member_names_.end() ? std::string() : found->second;
  }

  flagos_dtype_t dtype_of(std::uint32_t id, const std::string& name) const {
    const Instruction& t = type(id);
    const auto is_called = [&](const char* ending) { return name.ends_with(ending); };
    switch (t.op) {
      case spv::OpTypeInt:
        if (t[1] == 64 && is_called("_address")) return FLAGOS_DTYPE_ADDRESS;
        if (t[1] == 16 && is_called("_bf16")) return FLAGOS_DTYPE_BFLOAT16;
        if (t[1] == 8 && is_called("_bool")) return FLAGOS_DTYPE_BOOL;
        return FLAGOS_MAKE_DTYPE(t[2] != 0 ? 0 : 1, t[1], 1);
      case spv::OpTypeFloat:
        return FLAGOS_MAKE_DTYPE(2, t[1], 1);
      case spv::OpTypePointer:
        return FLAGOS_DTYPE_ADDRESS;
      default:
        return FLAGOS_DTYPE_BYTES;
    }
  }

  bool is_byte(std::uint32_t id) const {
    const Instruction& t = type(id);
    return t.op == spv::OpTypeInt && t[1] == 8;
  }

  bool is_scalar(std::uint32_t id) const {
    const spv::Op op = type(id).op;
    return op == spv::OpTypeInt || op == spv::OpTypeFloat || op == spv::OpTypePointer;
  }

  void add_parameter(SpirvKernel& kernel, std::uint32_t id, const std::string& name,
                     std::uint32_t offset) const {
    const Layout layout = layout_of(id);
    flagos_parameter_t parameter{};
    parameter.dtype = dtype_of(id, name);
    parameter.size_bytes = layout.size;
    parameter.alignment_bytes = layout.alignment;
    // A struct by value may stand where its members' alignment alone would not put it.
    while (offset % parameter.alignment_bytes != 0) parameter.alignment_bytes /= 2;
    parameter.offset_bytes = offset;
    if (parameter.dtype == FLAGOS_DTYPE_ADDRESS) kernel.address_offsets.push_back(offset);
    kernel.parameters.push_back(parameter);
  }

  // An array of bytes is a struct by value, another array of scalars as many parameters.
  void add_member(SpirvKernel& kernel, std::uint32_t id, const std::string& name,
                  std::uint32_t offset) const {
    const Instruction& t = type(id);
    if (t.op != spv::OpTypeArray || is_byte(t[1]) || !is_scalar(t[1])) {
      add_parameter(kernel, id, name, offset);
      return;
    }
    const auto stride = strides_.find(id);
    const std::uint32_t step = stride != strides_.end() ? stride->second : layout_of(t[1]).size;
    for (std::uint32_t i = 0; i < length_of(t[2]); ++i)
      add_parameter(kernel, t[1], name, offset + i * step);
  }

  // Whether the member is an address in a bound buffer: 8 bytes of whatever type.
  static bool bind(SpirvKernel& kernel, std::uint32_t member, std::uint32_t offset,
                   Layout& layout) {
    for (SpirvBuffer& buffer : kernel.buffers) {
      if (buffer.binding != member + 1 || layout.size != 8) continue;
      buffer.offset = offset;
      layout.alignment = 8;
      return true;
    }
    return false;
  }

  static void add_address(SpirvKernel& kernel, std::uint32_t offset) {
    flagos_parameter_t parameter{};
    parameter.dtype = FLAGOS_DTYPE_ADDRESS;
    parameter.size_bytes = 8;
    parameter.alignment_bytes = offset % 8 == 0 ? 8 : 4;
    parameter.offset_bytes = offset;
    kernel.parameters.push_back(parameter);
  }

  void read_block(SpirvKernel& kernel, std::uint32_t structure) const {
    const Instruction& t = type(structure);
    if (t.op != spv::OpTypeStruct)
      throw_error(FLAGOS_STATUS_INVALID_IMAGE, "the arguments of kernel '{}' are no struct",
                  kernel.name);
    std::uint32_t end = 0;
    std::uint32_t alignment = 1;
    for (std::uint32_t member = 0; member + 1 < t.words.size(); ++member) {
      const auto offset = offsets_.find({structure, member});
      if (offset == offsets_.end())
        throw_error(FLAGOS_STATUS_INVALID_IMAGE, "argument {} of kernel '{}' has no offset", member,
                    kernel.name);
      Layout layout = layout_of(t[member + 1]);
      const std::string name = member_name(structure, member);
      const bool is_bound = bind(kernel, member, offset->second, layout);
      kernel.block_bytes = std::max(kernel.block_bytes, offset->second + layout.size);
      if (name == "flagos_status" && layout.size == 8) {
        kernel.status_offset = offset->second;
        continue;
      }
      if (layout.size == 0)
        throw_error(FLAGOS_STATUS_INVALID_IMAGE, "argument {} of kernel '{}' has no size", member,
                    kernel.name);
      if (is_bound)
        add_address(kernel, offset->second);
      else
        add_member(kernel, t[member + 1], name, offset->second);
      end = std::max(end, offset->second + layout.size);
      alignment = std::max(alignment, layout.alignment);
    }
    // As sizeof gives it for the same struct in C.
    kernel.argument_bytes = round_up(end, alignment);
    kernel.block_bytes = round_up(std::max(kernel.block_bytes, kernel.argument_bytes), 4);
  }

  std::set<std::uint32_t> variables_of(const EntryPoint& entry) const {
    constexpr std::uint32_t interface_lists_all = 0x00010400;
    if (version_ >= interface_lists_all) return {entry.interface.begin(), entry.interface.end()};
    std::set<std::uint32_t> used;
    std::set<std::uint32_t> seen{entry.function};
    std::vector<std::uint32_t> pending{entry.function};
    while (!pending.empty()) {
      const auto found = functions_.find(pending.back());
      pending.pop_back();
      if (found == functions_.end()) continue;
      for (const std::uint32_t id : found->second.uses) {
        if (variables_.count(id) != 0) used.insert(id);
        if (functions_.count(id) != 0 && seen.insert(id).second) pending.push_back(id);
      }
    }
    return used;
  }

  SpirvSize size_of(std::uint32_t id) const {
    SpirvSize size;
    const auto spec = spec_ids_.find(id);
    const auto value = constants_.find(id);
    if (spec != spec_ids_.end()) size.spec_id = spec->second;
    if (value != constants_.end()) size.value = value->second;
    return size;
  }

  void read_size(SpirvKernel& kernel, std::uint32_t function) const {
    const auto composite = composites_.find(workgroup_size_);
    const auto mode = modes_.find(function);
    for (std::size_t i = 0; i < 3; ++i) {
      if (composite != composites_.end() && composite->second.size() == 3) {
        kernel.size[i] = size_of(composite->second[i]);
      } else if (mode != modes_.end()) {
        const std::uint32_t word = mode->second.words[i];
        kernel.size[i] = mode->second.are_ids ? size_of(word) : SpirvSize{SpirvSize::fixed, word};
      }
    }
  }

  static std::uint32_t number(const std::map<std::uint32_t, std::uint32_t>& all,
                              std::uint32_t key) {
    const auto at = all.find(key);
    return at == all.end() ? 0u : at->second;
  }

  // A storage buffer at binding 1 + place stands for the argument at that place.
  bool is_bound_buffer(std::uint32_t id) const {
    const auto found = variables_.find(id);
    if (found == variables_.end() || number(sets_, id) != 0 || number(bindings_, id) == 0)
      return false;
    const std::uint32_t pointee = type(found->second.type)[2];
    return found->second.storage == spv::StorageClassStorageBuffer ||
           (found->second.storage == spv::StorageClassUniform &&
            buffer_blocks_.count(pointee) != 0);
  }

  void read_variable(SpirvKernel& kernel, std::uint32_t id, bool& has_block) const {
    const auto found = variables_.find(id);
    if (found == variables_.end() || is_bound_buffer(id)) return;
    const spv::StorageClass storage = found->second.storage;
    const std::uint32_t pointee = type(found->second.type)[2];
    const bool is_buffer =
        storage == spv::StorageClassStorageBuffer || storage == spv::StorageClassUniform;
    if (storage == spv::StorageClassWorkgroup) {
      kernel.static_shared_bytes += layout_of(pointee).size;
    } else if (is_buffer || storage == spv::StorageClassPushConstant) {
      if (has_block)
        throw_error(FLAGOS_STATUS_INVALID_IMAGE, "kernel '{}' has two argument blocks",
                    kernel.name);
      if (is_buffer && (number(sets_, id) != 0 || number(bindings_, id) != 0))
        throw_error(FLAGOS_STATUS_UNSUPPORTED,
                    "kernel '{}' has a buffer at set {}, binding {}; arguments stand at set 0, "
                    "binding 0, and storage buffers behind it in set 0",
                    kernel.name, number(sets_, id), number(bindings_, id));
      has_block = true;
      if (is_buffer)
        kernel.block = storage == spv::StorageClassUniform && buffer_blocks_.count(pointee) == 0
                           ? ArgumentBlock::uniform_buffer
                           : ArgumentBlock::storage_buffer;
      read_block(kernel, pointee);
    } else if (storage == spv::StorageClassUniformConstant) {
      throw_error(FLAGOS_STATUS_UNSUPPORTED, "kernel '{}' uses images or samplers", kernel.name);
    }
  }

  SpirvKernel kernel(const EntryPoint& entry) const {
    SpirvKernel kernel;
    kernel.name = entry.name;
    bool has_block = false;
    const std::set<std::uint32_t> variables = variables_of(entry);
    for (const std::uint32_t id : variables)
      if (is_bound_buffer(id)) kernel.buffers.push_back({bindings_.at(id)});
    for (const std::uint32_t id : variables) read_variable(kernel, id, has_block);
    for (const SpirvBuffer& buffer : kernel.buffers)
      if (buffer.offset == UINT32_MAX)
        throw_error(FLAGOS_STATUS_INVALID_IMAGE,
                    "kernel '{}' has a buffer at binding {}, but argument {} is no address",
                    kernel.name, buffer.binding, buffer.binding - 1);
    read_size(kernel, entry.function);
    // In a module of several kernels the constant counts for those whose shared memory it sizes.
    const bool is_declared = std::any_of(spec_ids_.begin(), spec_ids_.end(), [](const auto& spec) {
      return spec.second == shared_spec_id;
    });
    kernel.has_dynamic_shared =
        is_declared && (entries_.size() == 1 || has_sized_shared(variables_of(entry)));
    return kernel;
  }

  bool has_sized_shared(const std::set<std::uint32_t>& ids) const {
    return std::any_of(ids.begin(), ids.end(), [this](std::uint32_t id) {
      const auto found = variables_.find(id);
      if (found == variables_.end() || found->second.storage != spv::StorageClassWorkgroup)
        return false;
      const Instruction& t = type(type(found->second.type)[2]);
      return t.op == spv::OpTypeArray && length_of(t[2]) == 0;
    });
  }

  struct Mode {
    bool are_ids;
    std::uint32_t words[3];
  };
  struct Variable {
    std::uint32_t type;
    spv::StorageClass storage;
  };
  using Member = std::pair<std::uint32_t, std::uint32_t>;

  const std::uint32_t version_;
  std::vector<std::uint32_t> capabilities_;
  std::vector<EntryPoint> entries_;
  std::map<std::uint32_t, Mode> modes_;
  std::map<Member, std::string> member_names_;
  std::map<Member, std::uint32_t> offsets_;
  std::map<std::uint32_t, std::uint32_t> spec_ids_, strides_, bindings_, sets_, constants_;
  std::set<std::uint32_t> buffer_blocks_;
  std::map<std::uint32_t, std::vector<std::uint32_t>> composites_;
  std::map<std::uint32_t, Instruction> types_;
  std::map<std::uint32_t, Variable> variables_;
  std::map<std::uint32_t, Function> functions_;
  Function* function_ = nullptr;
  std::uint32_t workgroup_size_ = 0;
};

}  // namespace

SpirvModule reflect_spirv(std::span<const std::uint32_t> words) {
  SpirvModule module = Reader(words).reflect();
  if (module.kernels.empty())
    throw_error(FLAGOS_STATUS_INVALID_IMAGE, "the SPIR-V module has no compute entry point");
  return module;
}

Words rename_entry_point(std::span<const std::uint32_t> words, const std::string& name) {
  Words renamed(words.begin(), words.begin() + 5);
  for_each(words, [&](const Instruction& instruction) {
    const auto count = static_cast<std::uint32_t>(instruction.words.size() + 1);
    if (instruction.op != spv::OpEntryPoint) {
      renamed.push_back(count << 16 | instruction.op);
      renamed.insert(renamed.end(), instruction.words.begin(), instruction.words.end());
      return;
    }
    std::size_t old_words = 0;
    text_at(instruction, 2, &old_words);
    Words letters(name.size() / 4 + 1, 0);
    std::memcpy(letters.data(), name.data(), name.size());
    const std::size_t new_count = count - old_words + letters.size();
    renamed.push_back(static_cast<std::uint32_t>(new_count << 16 | instruction.op));
    renamed.insert(renamed.end(), instruction.words.begin(), instruction.words.begin() + 2);
    renamed.insert(renamed.end(), letters.begin(), letters.end());
    renamed.insert(renamed.end(),
                   instruction.words.begin() + 2 + static_cast<std::ptrdiff_t>(old_words),
                   instruction.words.end());
  });
  return renamed;
}

}  // namespace flagos::vulkan
