import type { ReactNode, Ref } from 'react';
import {
  Button as AriaButton,
  ToggleButton as AriaToggleButton,
  Tooltip,
  TooltipTrigger,
  type ButtonProps as AriaButtonProps,
} from 'react-aria-components';

import styles from './Button.module.css';
import { Icon, type IconName } from './Icon';

type Kind = 'primary' | 'plain' | 'quiet' | 'danger';

interface ButtonProps extends Omit<AriaButtonProps, 'className' | 'style' | 'children'> {
  kind?: Kind;
  icon?: IconName;
  small?: boolean;
  ref?: Ref<HTMLButtonElement>;
  children: ReactNode;
}

export function Button({ kind = 'plain', icon, small = false, children, ...rest }: ButtonProps) {
  return (
    <AriaButton {...rest} className={classes(styles.button, styles[kind], small && styles.small)}>
      {icon && <Icon name={icon} size={18} />}
      <span>{children}</span>
    </AriaButton>
  );
}

interface IconButtonProps extends Omit<AriaButtonProps, 'className' | 'style' | 'children' | 'aria-label'> {
  icon: IconName;
  /** What it does: read aloud, and shown beside the pointer. */
  label: string;
  kind?: Kind;
  small?: boolean;
}

export function IconButton({ icon, label, kind = 'quiet', small = false, ...rest }: IconButtonProps) {
  return (
    <TooltipTrigger delay={500}>
      <AriaButton
        {...rest}
        aria-label={label}
        className={classes(styles.button, styles.square, styles[kind], small && styles.small)}
      >
        <Icon name={icon} size={small ? 16 : 20} />
      </AriaButton>
      <Tooltip className={styles.tooltip ?? ''} offset={6}>
        {label}
      </Tooltip>
    </TooltipTrigger>
  );
}

interface ToggleProps {
  icon?: IconName;
  isSelected: boolean;
  onChange: (selected: boolean) => void;
  isDisabled?: boolean;
  children: ReactNode;
}

/** A button that stays down. */
export function Toggle({ icon, children, isDisabled = false, ...rest }: ToggleProps) {
  return (
    <AriaToggleButton
      {...rest}
      isDisabled={isDisabled}
      className={classes(styles.button, styles.plain, styles.small, styles.toggle)}
    >
      {icon && <Icon name={icon} size={18} />}
      <span>{children}</span>
    </AriaToggleButton>
  );
}

export function classes(...names: (string | false | undefined)[]): string {
  return names.filter(Boolean).join(' ');
}
