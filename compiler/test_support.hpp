// What the compiler's tests share: runs one operation through text, parser, verifier and interpreter.
#pragma once

#include <fmt/format.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "compiler/diagnostic.hpp"
#include "compiler/interpret_op.hpp"
#include "compiler/parser.hpp"
#include "compiler/printer.hpp"
#include "compiler/verifier.hpp"

namespace flagos::compiler::test {

inline Module load(std::string_view text) {
  Module module = parse(text);
  verify(module);
  return module;
}

// The error that a text is refused with, "" when it is accepted.
inline std::string refusal(std::string_view text) {
  try {
    load(text);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// A value: "tile<2x3xf32>" or "f32", and its elements as bits.
struct Data {
  std::string type;
  Words words;
};

inline Type type_of(const std::string& text) {
  return load(fmt::format("flagos.tile 1.0\nkernel @t() {{\n%0 = const {{value=0{}}} : {}\n}}\n",
                          text.find('f') != std::string::npos ? ".0" : "", text))
      .kernels[0]
      .values[0];
}

inline std::vector<std::byte> pack(const Data& data) {
  const auto bytes = static_cast<std::size_t>(info(type_of(data.type).dtype).bytes);
  std::vector<std::byte> memory(data.words.size() * bytes);
  for (std::size_t i = 0; i < data.words.size(); ++i) std::memcpy(&memory[i * bytes], &data.words[i], bytes);
  return memory;
}

inline Words unpack(const std::vector<std::byte>& memory, DType dtype) {
  const auto bytes = static_cast<std::size_t>(info(dtype).bytes);
  Words words(memory.size() / bytes);
  for (std::size_t i = 0; i < words.size(); ++i) std::memcpy(&words[i], &memory[i * bytes], bytes);
  return words;
}

// Runs `%r0, ... = <op> %i0, ... <rest>` on inputs that are loaded, and gives the results, which are stored.
inline std::vector<Words> evaluate(const std::string& op, const std::vector<Data>& inputs,
                                   const std::vector<std::string>& outputs, const std::string& attributes = "",
                                   const std::string& region = "") {
  std::string arguments, body, operands, results, types;
  std::vector<std::vector<std::byte>> memory;
  const auto argument = [&](const std::string& name, const std::string& type) {
    const Type parsed = type_of(type);
    arguments += fmt::format("{}%{}: ptr<{}>", arguments.empty() ? "" : ", ", name, info(parsed.dtype).name);
    body += fmt::format("%v{} = view %{} {{shape=[{}], strides=[1]}} : view<{}, 1>\n", name, name, parsed.elements(),
                        info(parsed.dtype).name);
    return parsed;
  };
  const auto flat = [](const Type& type) { return fmt::format("tile<{}x{}>", type.elements(), info(type.dtype).name); };
  body += "%zero = const {value=0} : i32\n";
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Type type = argument(fmt::format("i{}", i), inputs[i].type);
    memory.push_back(pack(inputs[i]));
    operands += fmt::format("{}%x{}", i == 0 ? " " : ", ", i);
    if (type.is_scalar()) {
      body += fmt::format("%x{} = load %vi{}, %zero : {}\n", i, i, inputs[i].type);
    } else {
      body += fmt::format("%f{} = load %vi{}, %zero : {}\n%x{} = reshape %f{} : {}\n", i, i, flat(type), i, i,
                          inputs[i].type);
    }
  }
  std::vector<Type> out_types;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    out_types.push_back(argument(fmt::format("o{}", i), outputs[i]));
    memory.emplace_back(static_cast<std::size_t>(out_types[i].elements() * info(out_types[i].dtype).bytes));
    results += fmt::format("{}%r{}", i == 0 ? "" : ", ", i);
    types += fmt::format("{}{}", i == 0 ? " : " : ", ", outputs[i]);
  }
  body += fmt::format("{} = {}{}{}{}{}\n", results, op, operands, attributes.empty() ? "" : " {" + attributes + "}",
                      types, region.empty() ? "" : " " + region);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (out_types[i].is_scalar()) {
      body += fmt::format("store %vo{}, %zero, %r{}\n", i, i);
    } else {
      body += fmt::format("%s{} = reshape %r{} : {}\nstore %vo{}, %zero, %s{}\n", i, i, flat(out_types[i]), i, i);
    }
  }
  const Module module = load(fmt::format("flagos.tile 1.0\nkernel @t({}) {{\n{}}}\n", arguments, body));
  std::vector<ArgumentValue> values;
  for (std::vector<std::byte>& block : memory)
    values.push_back({reinterpret_cast<std::uintptr_t>(block.data()), block.size()});
  Launch launch;
  launch.arguments = values;
  interpret(module, module.kernels[0], launch);
  std::vector<Words> out;
  for (std::size_t i = 0; i < outputs.size(); ++i) out.push_back(unpack(memory[inputs.size() + i], out_types[i].dtype));
  return out;
}

// Integers or floating-point numbers as bits.
inline Words bits_of(DType dtype, const std::vector<double>& numbers) {
  Words words;
  for (const double number : numbers)
    words.push_back(is_float(dtype) ? encode_float(dtype, number)
                                    : encode_int(dtype, static_cast<std::uint64_t>(static_cast<std::int64_t>(number))));
  return words;
}

inline std::vector<double> numbers_of(DType dtype, const Words& words) {
  std::vector<double> numbers;
  for (const std::uint64_t bits : words)
    numbers.push_back(is_float(dtype) ? decode_float(dtype, bits) : static_cast<double>(decode_int(dtype, bits)));
  return numbers;
}

}  // namespace flagos::compiler::test
