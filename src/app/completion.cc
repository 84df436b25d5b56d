// sluice completion, sluice man: both are made from the declared commands and options.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "app/commands.h"

namespace sluice::app {
namespace {

std::vector<std::string> flags_of(const CLI::App& app) {
  std::vector<std::string> out;
  for (const CLI::Option* option : app.get_options()) {
    for (const auto& name : option->get_lnames()) out.push_back("--" + name);
  }
  return out;
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

std::vector<const CLI::App*> commands_of(const CLI::App& root) {
  return root.get_subcommands([](const CLI::App*) { return true; });
}

std::vector<std::string> names_of(const std::vector<const CLI::App*>& commands) {
  std::vector<std::string> out;
  for (const auto* command : commands) out.push_back(command->get_name());
  return out;
}

void print_bash(const CLI::App& root) {
  const auto commands = commands_of(root);
  std::printf("_sluice() {\n  local word=${COMP_WORDS[COMP_CWORD]} words=\n");
  std::printf("  if [[ $COMP_CWORD -eq 1 ]]; then\n    words=\"%s\"\n  else\n",
              joined(names_of(commands)).c_str());
  std::printf("    case ${COMP_WORDS[1]} in\n");
  for (const auto* command : commands) {
    auto words = flags_of(*command);
    for (const auto* nested : commands_of(*command)) {
      words.push_back(nested->get_name());
      for (auto& flag : flags_of(*nested)) {
        if (std::ranges::find(words, flag) == words.end()) words.push_back(std::move(flag));
      }
    }
    std::printf("      %s) words=\"%s\" ;;\n", command->get_name().c_str(), joined(words).c_str());
  }
  std::printf("    esac\n  fi\n");
  std::printf("  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n}\n");
  std::printf("complete -o default -F _sluice sluice\n");
}

void print_zsh(const CLI::App& root) {
  std::printf("#compdef sluice\nautoload -U +X bashcompinit && bashcompinit\n");
  print_bash(root);
}

void print_fish(const CLI::App& root) {
  for (const auto* command : commands_of(root)) {
    std::printf("complete -c sluice -n __fish_use_subcommand -a %s -d '%s'\n",
                command->get_name().c_str(), command->get_description().c_str());
    for (const auto* option : command->get_options()) {
      for (const auto& name : option->get_lnames()) {
        std::printf("complete -c sluice -n '__fish_seen_subcommand_from %s' -l %s\n",
                    command->get_name().c_str(), name.c_str());
      }
    }
  }
}

// Text as roff wants it: a line must not begin with a dot or quote, and hyphens are literal.
std::string roff(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '-' || c == '\\') out += '\\';
    if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) out += "\\&";
    out += c;
  }
  return out;
}

void print_command(const CLI::App& command, const std::string& name) {
  std::printf(".SS %s\n%s.\n", name.c_str(), roff(command.get_description()).c_str());
  for (const auto* option : command.get_options()) {
    std::printf(".TP\n.B %s\n%s\n", roff(option->get_name(true, true)).c_str(),
                roff(option->get_description()).c_str());
  }
  std::printf(".PP\n.nf\n%s\n.fi\n", roff(command.get_footer()).c_str());
  for (const auto* nested : commands_of(command)) {
    print_command(*nested, name + " " + nested->get_name());
  }
}

void print_man(const CLI::App& root) {
  std::printf(".TH SLUICE 1\n.SH NAME\nsluice \\- %s\n", roff(root.get_description()).c_str());
  std::printf(".SH SYNOPSIS\n.B sluice\n.I command\n[options]\n.SH COMMANDS\n");
  for (const auto* command : commands_of(root)) print_command(*command, command->get_name());
  std::printf(
      ".SH EXIT STATUS\n0 success; 64 usage; 65 bad data; 66 no such input; "
      "69 server unreachable; 70 internal; 1 a watched release was not promoted.\n");
}

}  // namespace

Action add_completion(CLI::App& app) {
  auto shell = std::make_shared<std::string>();
  app.add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  return [&app, shell] {
    const CLI::App& root = *app.get_parent();
    if (*shell == "bash") print_bash(root);
    if (*shell == "zsh") print_zsh(root);
    if (*shell == "fish") print_fish(root);
    return kSuccess;
  };
}

Action add_man(CLI::App& app) {
  return [&app] {
    print_man(*app.get_parent());
    return kSuccess;
  };
}

}  // namespace sluice::app
